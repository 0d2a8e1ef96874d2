"""Whether a note says of a medicine that it was stopped."""

from __future__ import annotations

import re

REACH_CHARS = 60
_END = re.compile(r"[。；;\n]|\.(?=\s|$)")
_ENDED = r"stopped|discontinued|no longer tak(?:es|ing|en)|d/c'?d"
_BEHIND = re.compile(
    r"(?<![未不勿没])(?:停用|停服|停药|停了|已停)|\b(?:has|have) not (?:been )?tak(?:en|ing)\b"
    r"|\b(?:was|is|being) held\b|\bheld (?:d/t|due|because|for|since|given|on)\b|\bon hold\b"
    rf"|(?<!not )(?<!never )\b(?:self-)?(?:{_ENDED})\b",
    re.I,
)
_BEFORE = re.compile(
    r"(?:(?<![未不勿没])(?:停用|停服|停)"
    rf"|\b(?:{_ENDED}|quit|no longer on|off|stop|(?:ran|run|running) out of)"
    r"(?: taking| (?:his|her|the))?):? ?$",
    re.I,
)


def is_stopped(text: str, start: int, end: int, next_start: int) -> bool:
    """Tell whether the medicine text[start:end] was stopped.

    `next_start` is where the next medicine stands: words behind that are about that one.
    """
    last = min(next_start, end + REACH_CHARS, len(text))
    if edge := _END.search(text, end, last):
        last = edge.start()
    if _BEFORE.search(text[max(0, start - 30) : start]):
        return True
    found = _BEHIND.search(text, end, last)
    # "A, stopped B": what stands right before the next name is about that.
    return found is not None and not (last == next_start and _BEFORE.search(text[end:last]))
