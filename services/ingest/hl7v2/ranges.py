"""OBX-7, a reference range as it is printed, as low and high. Pure.

What is not plainly two numbers or one bound stays text: a range for men and women in one string
is nobody's limits.

Source: v2-to-FHIR OBX[Observation] row 7; HL7 v2.9 7.4.2.7.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from services.ingest.hl7v2.values import number

Json = dict[str, Any]

_FIGURE = r"([+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?)"
_BETWEEN = re.compile(rf"{_FIGURE}\s*(?:-{{1,2}}|–|—|−|~|〜|to|至)\s*{_FIGURE}", re.IGNORECASE)
_BELOW = re.compile(rf"(?:<|<=|≤|≦|⩽|up to)\s*{_FIGURE}", re.IGNORECASE)
_ABOVE = re.compile(rf"(?:>|>=|≥|≧|⩾)\s*{_FIGURE}")
TEXT_CHARS_MAX = 1000


def reference_range(text: str, unit: Json) -> Json:
    """Return a referenceRange; its text is always as it was printed."""
    plain = text.strip()
    if not plain:
        return {}
    made: Json = {"text": plain[:TEXT_CHARS_MAX]}
    bare = _bare(plain, unit)
    if found := _BETWEEN.fullmatch(bare):
        return limits(found[1], found[2], unit) | made
    if found := _BELOW.fullmatch(bare):
        return limits("", found[1], unit) | made
    if found := _ABOVE.fullmatch(bare):
        return limits(found[1], "", unit) | made
    return made


def _bare(printed: str, unit: Json) -> str:
    """Return a range without brackets and without the result's own unit behind it."""
    plain = unicodedata.normalize("NFKC", printed).strip("[]() ")
    for own in {unit.get("unit", ""), unit.get("code", "")} - {""}:
        spelt = unicodedata.normalize("NFKC", own)
        if plain.casefold().endswith(spelt.casefold()) and not spelt[0].isdigit():
            return plain[: -len(spelt)].strip("[]() ")
    return plain


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
