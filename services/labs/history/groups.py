"""Blood groups: the one result that must never change, so the surest sign of a mixed-up sample."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from services.labs.panel import Measured

ABO = "abo"
CODES: Mapping[str, str] = MappingProxyType({"883-9": ABO, "882-1": ABO})
"""LOINC: ABO group [Type] in Blood; ABO and Rh group [Type] in Blood."""

ANSWERS: Mapping[str, str] = MappingProxyType(
    {"112144000": "A", "112149005": "B", "165743006": "AB", "58460004": "O"}
)
"""SNOMED CT findings: blood group A, B, AB, O."""
TEXT_MAX = 40
_GROUP = re.compile(
    r"(?:blood\s*)?(?:group\s*|type\s*)?['\"“]?(?P<group>AB|A|B|O)['\"”]?\s*(?:型血?|group|type)?"
    r"(?:[\s,，;/]*(?:RH|POS|NEG|阳性|阴性|[(（]?[+\-][)）]?).{0,16})?",
    re.IGNORECASE,
)


def of(item: Measured) -> tuple[str, str] | None:
    """Return what kind of group a result states, and which; None: it is none, or not clear."""
    kind = next((CODES[code] for code in item.loinc if code in CODES), None)
    if kind is None:
        return None
    if coded := next((ANSWERS[code] for code in item.answers if code in ANSWERS), ""):
        return kind, coded
    if not item.text or len(item.text) > TEXT_MAX:
        return None
    found = _GROUP.fullmatch(unicodedata.normalize("NFKC", item.text).strip().upper())
    return (kind, found["group"].upper()) if found else None
