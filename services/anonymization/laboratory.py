"""A closed vocabulary of what laboratories print: names of analytes and of specimens. Pure.

A name that is in it says what was measured and nothing of anybody, so it may stay where a free
text may not: without it a result that has no LOINC code is nameless to the analysis. The list is
made of the dictionary of the labs service (`tests/anonymization/test_laboratory_names.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from services.anonymization.vocabulary import read
from services.kernel.naming import fold

NAMES = read("laboratory_names.txt")
CHARS_MAX = 80
JOINED_MIN = 2
"""Characters from which a word may stand in a longer Chinese name; one alone is a surname too."""
_BRACKETS = re.compile(r"[()\[\]{}【】|;]")
_SCRIPTS = re.compile(r"[\u4e00-\u9fff]+|[^\u4e00-\u9fff]+")
_LONGEST = max(map(len, NAMES))


@lru_cache(maxsize=4096)
def is_name(text: str) -> bool:
    """Tell whether a text is nothing but names of analytes and specimens.

    `白细胞计数(WBC)` is, and `尿钾测定`; `钾 张三` is not, and neither is a name of two symbols.
    """
    if not 0 < len(text) <= CHARS_MAX:
        return False
    if fold(text) in NAMES:
        return True
    plain = unicodedata.normalize("NFKC", text)
    pieces = [piece for each in _BRACKETS.split(plain) if (piece := fold(each))]
    return bool(pieces) and all(_is_known(piece) for piece in pieces)


def specimens(named: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return what the Specimens of a submission are, by each way to refer to them.

    `named`: reference, fullUrl (empty: none) and resource of each entry.
    """
    found: dict[str, str] = {}
    for reference, url, resource in named:
        kind = resource.get("type")
        if resource.get("resourceType") != "Specimen" or not isinstance(kind, Mapping):
            continue
        told = kind.get("coding")
        nodes = told if isinstance(told, list) else []
        codings = [each for each in nodes if isinstance(each, Mapping)]
        words = [kind.get("text"), *(each.get(k) for k in ("display", "code") for each in codings)]
        shown = next((each for each in words if isinstance(each, str) and is_name(each)), "")
        found |= {each: shown for each in (reference, url) if each and shown}
    return found


def _is_known(piece: str) -> bool:
    if piece in NAMES:
        return True
    runs = _SCRIPTS.findall(piece)
    return all(run in NAMES or (run > "\u4e00" and _joined(run)) for run in runs)


def _joined(run: str) -> bool:
    """Tell whether a run of Chinese is words of the list, one after the other."""
    reachable = {0}
    for start in range(len(run)):
        if start in reachable:
            ends = range(start + JOINED_MIN, min(start + _LONGEST, len(run)) + 1)
            reachable.update(end for end in ends if run[start:end] in NAMES)
    return len(run) in reachable
