"""OBX-7, a reference range as it is printed, as low and high. Pure.

What is not plainly two numbers or one bound stays text: a range for men and women in one string
is nobody's limits.

Source: v2-to-FHIR OBX[Observation] row 7; HL7 v2.9 7.4.2.7.
"""

from __future__ import annotations

import re
from typing import Any

from services.ingest.hl7v2.values import number

Json = dict[str, Any]

_FIGURE = r"([+-]?\d{1,20}(?:\.\d{1,20})?)"
_BETWEEN = re.compile(rf"{_FIGURE}\s*(?:-{{1,2}}|–|—|~|～|to|至)\s*{_FIGURE}", re.IGNORECASE)
_BELOW = re.compile(rf"(?:<|<=|≤|＜)\s*{_FIGURE}")
_ABOVE = re.compile(rf"(?:>|>=|≥|＞)\s*{_FIGURE}")
TEXT_CHARS_MAX = 1000


def reference_range(text: str, unit: Json) -> Json:
    """Return a referenceRange; its text is always as it was printed."""
    plain = text.strip()
    if not plain:
        return {}
    made: Json = {"text": plain[:TEXT_CHARS_MAX]}
    bare = plain.strip("[]()（） ")
    if found := _BETWEEN.fullmatch(bare):
        return limits(found[1], found[2], unit) | made
    if found := _BELOW.fullmatch(bare):
        return limits("", found[1], unit) | made
    if found := _ABOVE.fullmatch(bare):
        return limits(found[1], "", unit) | made
    return made


def limits(low: str, high: str, unit: Json) -> Json:
    """Return low and high as Quantities; empty where they are no numbers or cross."""
    least, most = number(low), number(high)
    if least is not None and most is not None and least > most:
        return {}
    made: Json = {}
    if least is not None:
        made["low"] = {"value": least} | unit
    if most is not None:
        made["high"] = {"value": most} | unit
    return made
