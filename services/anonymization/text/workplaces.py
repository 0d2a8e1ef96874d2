"""Schools, employers, homes and towns: what else tells where somebody comes from.

The words that stand around them are in `workplaces.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.anonymization import vocabulary
from services.anonymization.text.edits import Edit
from services.anonymization.text.tables import either, sections

_TABLE = sections("workplaces.txt")
_Z = r"[\u4e00-\u9fff]"
_WORKPLACE_ZH = re.compile(
    rf"(?:{either(_TABLE['at'])})({_Z}{{2,18}}?(?:{either(_TABLE['kinds'])}))"
)
_AREA_ZH = re.compile(
    rf"(?:{either(_TABLE['home'])})[：:]?\s?({_Z}{{2,9}}?(?:{either(_TABLE['areas'])})"
    r"(?:\d{1,4}[栋幢号座-]?\d{0,5})?)"
)
_TOWN_ZH = re.compile(rf"在({_Z}{{2,4}})(?=(?:{either(_TABLE['busy'])}))")
_NATIVE_ZH = re.compile(rf"(?:[，。；：\s]|系|为|是)({_Z}{{2,8}})人(?=[，。；）)\s]|士)")

_CAP = r"[A-Z][A-Za-z'’-]{1,40}"
_COMPANIES = either([re.escape(word.replace("_", " ")) for word in _TABLE["companies"]])
_WORKPLACE_EN = re.compile(
    rf"((?:{_CAP}(?: & | and | of |, | )){{1,5}}(?:{_COMPANIES}))(?![A-Za-z])"
)
_TOWN_EN = re.compile(
    rf"\b(?:{either([word.replace('_', ' ') for word in _TABLE['from']])})"
    rf" ({_CAP}(?: {_CAP})?(?:, (?:{_CAP}(?: {_CAP})?|[A-Z]{{2}}\b))?)"
)


def find(text: str) -> Iterator[Edit]:
    """Yield each of them."""
    for pattern, label in ((_WORKPLACE_ZH, "ORG"), (_AREA_ZH, "ADDRESS"), (_TOWN_ZH, "ADDRESS")):
        for match in pattern.finditer(text):
            if not _is_general(match[1]):
                yield Edit(*match.span(1), label)
    for match in _NATIVE_ZH.finditer(text):
        if match[1].startswith(tuple(_TABLE["provinces"])):
            yield Edit(*match.span(1), "ADDRESS")
    for match in _WORKPLACE_EN.finditer(text):
        words = re.findall(r"[A-Za-z'’-]+", match[1])[:-1]
        if any(word.lower() not in vocabulary.WORDS for word in words):
            yield Edit(*match.span(1), "ORG")
    for match in _TOWN_EN.finditer(text):
        yield Edit(*match.span(1), "ADDRESS")


def _is_general(place: str) -> bool:
    """Tell whether a place names no place: 当地, 社区, 本院病区."""
    general = tuple(_TABLE["general"])
    return place.startswith(general) or place.endswith(("病区", "院区"))
