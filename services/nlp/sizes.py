"""How large a lesion is: the size beside its name, in images and operation notes.

A size stands before its lesion ("a 9 mm nodule") or behind it: right there, or in the next clause
where that is about the size (结节，大小约8mm×6mm; "nodule, measuring 8 mm"). A distance
(距肛缘5cm), an earlier size, the width of something else (脾肋下3cm, "a 10 cm loop") is none of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

LENGTH = r"[0-9]{1,3}(?:\.[0-9]{1,2})?"
UNIT = "(?:mm|cm|毫米|厘米|公分)"
SIZE = re.compile(
    rf"{LENGTH}[ ]?{UNIT}?(?:[ ]?(?:[x×*X~\-]|to|by)[ ]?{LENGTH}[ ]?{UNIT}?){{0,2}}"
    rf"[ -]?{UNIT}"
    r"(?![a-z/0-9²2³3])|[0-9]{1,3}[ ]?-?(?:millimeters?|centimeters?)",
    re.IGNORECASE,
)
FIGURE = re.compile("[0-9]")
NOT_IT = re.compile(
    r"(?:from|previously|prior|formerly|was|原|原为|由|从|前次|上次|此前)[ ]?$"
    r"|(?:距|离|深|肋下|肋缘下|直径周|周径|腿围|腹围|宫高|进|插入|置入|切口)[^,。;]{0,8}$"
    r"|瞳孔[^。;]{0,14}$"
    r"|(?:elevated to|incision|depth of|distance of|located|up to the)[ ]?$",
    re.IGNORECASE,
)
"""Before a size that is no more, or the size of nothing."""
SIZED = re.compile(
    r"大小|直径|[长短]径|最大|较大|最长|范围|体积|约|厚|径|测量|measur|in size|sized|diameter|size"
    r"|approximately|about|up to|\bby\b|length|width",
    re.IGNORECASE,
)
"""What is said to be so large."""
COMMAS, STOPS = ",;:()", "。.;"
NEAR_CHARS, REACH_CHARS, BEFORE_CHARS = 16, 60, 20


def find(
    flat: str, lesions: Sequence[tuple[int, int]], others: Sequence[int] = ()
) -> Iterator[tuple[int, int, int]]:
    """Yield (number of the lesion, start, end) of the sizes in a sentence.

    `lesions` are their places, in order; `others` where mentions begin that have no size.
    """
    if not FIGURE.search(flat):
        return
    starts = [start for start, _ in lesions]
    ends = 0
    for match in SIZE.finditer(flat):
        after, ends = ends, match.end()
        if NOT_IT.search(flat, max(0, match.start() - BEFORE_CHARS), match.start()):
            continue
        following = bisect_left(starts, match.end())
        if following < len(lesions):
            between = flat[match.end() : starts[following]]
            if len(between) <= NEAR_CHARS and not any(each in COMMAS + STOPS for each in between):
                yield following, *match.span()
                continue
        chosen = following - 1
        if chosen >= 0 and _belongs(flat, max(lesions[chosen][1], after), match.start()):
            last = bisect_left(others, match.start()) - 1
            if last < 0 or others[last] < lesions[chosen][0]:
                yield chosen, *match.span()


def _belongs(flat: str, start: int, end: int) -> bool:
    """Tell whether a size at `end` is of the lesion whose words end at `start`."""
    between = flat[start:end]
    if len(between) > REACH_CHARS or any(each in STOPS for each in between):
        return False
    if not any(each in COMMAS for each in between) and len(between) <= 2:
        return True
    told = max(between.rfind(each) for each in COMMAS)
    clause = between[told + 1 :]
    if told >= 0 and not clause.strip():
        return True
    return SIZED.search(clause) is not None
