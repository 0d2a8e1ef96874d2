"""OBX-5 by its type (OBX-2) as a value of FHIR. Pure.

A number keeps its characters; what is written under the wrong type is kept as text rather than
guessed at, except `<0.01` under NM, which can mean nothing else.

Source: v2-to-FHIR OBX[Observation] rows 5 and 6, SN[Quantity], SN[Ratio], SN[Range], NR[Range],
CWE[Quantity]; HL7 v2.9 2A.3.44 (NM), 2A.3.70 (SN).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.ingest.hl7v2 import moments
from services.ingest.hl7v2.codes import TABLES
from services.ingest.hl7v2.datatypes import coded, concept, present
from services.ingest.hl7v2.reader import Part, Segment
from services.ingest.hl7v2.site import Site
from services.kernel.fhir import Number

Json = dict[str, Any]

UCUM = TABLES["systems"]["UCUM"]
TEXTS = frozenset(("ST", "TX", "FT"))
"""Types of which repetitions are lines of one text."""
TEXT_CHARS_MAX = 100_000
_NUMBER = re.compile(r"([+-]?)(\d{1,40})?(?:\.(\d{0,40}))?", re.ASCII)
_POWER = re.compile(r"[x×*✕]?\s*10", re.IGNORECASE)
_EXPONENT = re.compile(r"\d{1,2}\s*/.{1,20}")
_COMPARED = re.compile(r"(<=|>=|<|>|≤|≥)\s*([+-]?[\d.]{1,40})")
_MARK = re.compile(r"(?<=\d)(?:\s*[↑↓*]{1,3}|\s+(?:HH?|LL?))\s*$")
"""Of high or low, beside a number: OBX-8 has it too."""
_FIGURES = re.compile(r"(?:<=|>=|<|>|≤|≥)?\s*\d[\d.eE+\-~–—×xX*^ ]{0,40}")
"""A range, or a power of ten."""
COMPARATORS = {"<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">="}


class Unread(Exception):
    """The value cannot be taken over: reason and what was done instead."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Reading:
    """What holds while the values of one OBX are read."""

    segment: Segment
    site: Site
    zone: str
    unit: Json
    """unit, system and code of OBX-6."""


def unit(segment: Segment, site: Site, field: int = 6) -> Json:
    """Return unit, system and code of a CWE of units: of its UCUM triplet when it has one."""
    part = segment.part(field)
    for at in (1, 4, 10):
        if part.text(at + 2) == "UCUM" and (code := coded(part.text(at))):
            return {"unit": part.text(at + 1) or code, "system": UCUM, "code": code}
    shown, rest = part.text(1), part.text(2)
    if _POWER.fullmatch(shown) and _EXPONENT.fullmatch(rest):
        # 10^9/L written without an escape: the separator cuts it in two.
        text = "the unit holds the component separator; it was read as one"
        segment.message.asides.add(segment.at(field), "UNIT_WITH_SEPARATOR", text)
        return {"unit": f"{shown}^{rest}"}
    return {"unit": shown or rest} if shown or rest else {}


def number(text: str) -> Number | None:
    """Return a number as FHIR writes it (`5.` is 5, `.5` is 0.5); None when it is none."""
    found = _NUMBER.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if not found or not (found[2] or found[3]):
        return None
    whole = (found[2] or "0").lstrip("0") or "0"
    sign = "-" if found[1] == "-" else ""
    return Number(f"{sign}{whole}" + (f".{found[3]}" if found[3] else ""))


def value(kind: str, part: Part, reading: Reading) -> Json:
    """Return one member, such as {"valueQuantity": …}; empty for an empty repetition.

    Raises
    ------
    Unread
        The type is not read, or the content is not of its type.
    """
    read = _READERS.get(kind)
    if read is None:
        raise Unread(
            "VALUE_TYPE_NOT_READ", "a value of this type is not read; the result is listed without"
        )
    return read(part, reading)


def _numeric(part: Part, reading: Reading) -> Json:
    text = part.text()
    if found := quantity(text, reading.unit):
        return {"valueQuantity": found}
    raise Unread("VALUE_NOT_NUMERIC", "the value is stated as a number and is none; kept as text")


def quantity(text: str, unit: Json) -> Json:
    """Return a Quantity of a number, with a comparator before it or not; empty: it is none.

    Full-width figures and signs are those of ASCII.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    compared = _COMPARED.fullmatch(text)
    figure = number(compared[2] if compared else text)
    if figure is None:
        return {}
    sign = {"comparator": COMPARATORS[compared[1]]} if compared else {}
    return {"value": figure} | sign | unit


def _structured(part: Part, reading: Reading) -> Json:
    comparator, separator = part.text(1), part.text(3)
    first, second = number(part.text(2)), number(part.text(4))
    if comparator == "=":
        comparator = ""
    plain = comparator in COMPARATORS or not comparator
    sign = {"comparator": COMPARATORS[comparator]} if comparator in COMPARATORS else {}
    if plain and first is not None and separator in (":", "/") and second is not None:
        low = {"value": first} | sign | reading.unit
        return {"valueRatio": {"numerator": low, "denominator": {"value": second} | reading.unit}}
    if not comparator and separator == "-" and first is not None and second is not None:
        ends = ({"value": each} | reading.unit for each in (first, second))
        return {"valueRange": dict(zip(("low", "high"), ends, strict=True))}
    if plain and first is not None and not separator and not part.text(4):
        return {"valueQuantity": {"value": first} | sign | reading.unit}
    pieces = [part.text(n) for n in (1, 2, 3, 4)] + [reading.unit.get("unit", "")]
    return _string(" ".join(each for each in pieces if each))


def _span(part: Part, reading: Reading) -> Json:
    low, high = number(part.text(1)), number(part.text(2))
    made = present(
        low=None if low is None else {"value": low} | reading.unit,
        high=None if high is None else {"value": high} | reading.unit,
    )
    if not made:
        raise Unread("VALUE_NOT_NUMERIC", "the range has no number; kept as text")
    return {"valueRange": made}


def _text(part: Part, _: Reading) -> Json:
    return _string(part.whole())


def of_text(text: str, unit: Json) -> Json:
    """Return the value of a text beside a unit: many systems send every number as text.

    A number is a Quantity. What else begins with one, `3-5` or `1.25E+05`, keeps the unit in the
    text: a string has no other place for it.
    """
    if not unit or len(text) > TEXT_CHARS_MAX:
        return _string(text)
    if found := quantity(_MARK.sub("", text), unit):
        return {"valueQuantity": found}
    shown = unit.get("unit") or unit.get("code") or ""
    plain = _FIGURES.fullmatch(unicodedata.normalize("NFKC", text).strip())
    return _string(f"{text.strip()} {shown}" if plain and shown else text)


def _string(text: str) -> Json:
    if len(text) > TEXT_CHARS_MAX:
        raise Unread("VALUE_TOO_LONG", f"a text over {TEXT_CHARS_MAX} characters is not taken")
    return {"valueString": text} if text.strip() else {}


def _coded(part: Part, reading: Reading) -> Json:
    made = concept(part, reading.site)
    return {"valueCodeableConcept": made} if made else {}


def _moment(part: Part, reading: Reading) -> Json:
    if found := moments.moment(part.text(), reading.zone):
        return {"valueDateTime": found}
    raise Unread("TIME_NOT_READ", "the value is stated as a time and is none; kept as text")


def _clock(part: Part, _: Reading) -> Json:
    if found := moments.clock(part.text()):
        return {"valueTime": found}
    raise Unread("TIME_NOT_READ", "the value is stated as a time and is none; kept as text")


def _period(part: Part, reading: Reading) -> Json:
    start, end = (moments.moment(part.text(n), reading.zone) for n in (1, 2))
    if made := present(start=start, end=end):
        return {"valuePeriod": made}
    raise Unread("TIME_NOT_READ", "the value is stated as a period and is none; kept as text")


_READERS: dict[str, Callable[[Part, Reading], Json]] = {
    "NM": _numeric,
    "SN": _structured,
    "NR": _span,
    **dict.fromkeys(TEXTS, _text),
    **dict.fromkeys(("CE", "CWE", "CNE", "CF", "IS", "ID"), _coded),
    **dict.fromkeys(("DT", "TS", "DTM"), _moment),
    "TM": _clock,
    "DR": _period,
}
"""OBX-2 → how OBX-5 is read. ED and RP (documents), NA and MA (curves) are not."""
