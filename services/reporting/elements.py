"""FHIR R4 elements every topic builds from: quantities, references, extensions, labels.

Element names and rules: http://hl7.org/fhir/R4/datatypes.html.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from services.kernel.fhir import Number
from services.kernel.ucum import readable

Json = dict[str, Any]

EXTENSION = "urn:dxmesh:fhir:StructureDefinition:"
UCUM = "http://unitsofmeasure.org"
UID_SYSTEM = "urn:dicom:uid"
SOURCE_SYSTEM = "urn:dxmesh:source"
"""Identifier system of placeholders: ids of the analysis zone that the gateway maps back."""
INLINE_LABEL = (
    "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
)

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_COMPARED = re.compile(r"(<=|<|>=|>)\s*(\S+)")
_DATE_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def reference(resource: Json) -> Json:
    """Return a relative Reference to a resource of the Bundle."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def placeholder(kind: str, value: str, system: str = SOURCE_SYSTEM) -> Json:
    """Return a logical Reference that the gateway replaces by the true one."""
    return {"type": kind, "identifier": {"system": system, "value": value}}


def uid(value: str) -> str:
    """Return a DICOM UID as FHIR writes it (R4 Identifier, `urn:dicom:uid`)."""
    return f"urn:oid:{value}"


def extension(name: str, **value: object) -> Json:
    """Return one of our extensions with a single value, as `value<Type>=…`."""
    return {"url": EXTENSION + name, **value}


def compound(name: str, *parts: Json) -> Json:
    """Return one of our extensions made of others, whose urls are their short names."""
    inner = [part | {"url": part["url"].removeprefix(EXTENSION)} for part in parts]
    return {"url": EXTENSION + name, "extension": inner}


def rounded(value: float, places: int) -> Decimal:
    """Return a measurement with a fixed number of decimal places."""
    return Decimal(f"{value:.{places}f}")


def quantity(value: Decimal, ucum: str, unit: str = "") -> Json:
    """Return a Quantity with a UCUM unit; `unit` is how people read it."""
    shown = unit or readable(ucum)
    named = {"unit": shown} if shown else {}
    return {"value": value, **named, "system": UCUM, "code": ucum}


def decimal_of(text: str) -> Number | None:
    """Return a FHIR decimal digit for digit, or None when the text is not one."""
    return Number(text) if _DECIMAL.fullmatch(text) else None


def quantity_as_written(value: str, unit: str, ucum: str = "") -> Json | None:
    """Return a Quantity of a value such as `6.80` or `<0.01`; None when it is no number.

    The unit is written for a reader; the UCUM code, where it is known, is its code.
    """
    compared = _COMPARED.fullmatch(value)
    number = decimal_of(compared[2] if compared else value)
    if number is None:
        return None
    made: Json = {"value": number}
    if compared:
        made["comparator"] = compared[1]
    if shown := readable(text(unit)):
        made["unit"] = shown
    if ucum:
        made |= {"system": UCUM, "code": ucum}
    return made


def text(value: str) -> str:
    """Return text fit for a FHIR string: no control characters, no outer white space."""
    return _CONTROL.sub("", value).strip()


def instant(value: datetime) -> str:
    """Return a FHIR instant in UTC, to the millisecond."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_date_time(value: str) -> bool:
    """Tell whether text is a FHIR dateTime."""
    return bool(_DATE_TIME.fullmatch(value))


def when(date_time: str) -> datetime:
    """Return a FHIR dateTime for sorting: a date alone counts as its first moment, UTC."""
    padded = date_time + "-01-01"[len(date_time) - 4 :] if len(date_time) < 10 else date_time
    try:
        parsed = datetime.fromisoformat(padded)
    except ValueError:  # the pattern allows a 31st of February
        return datetime.min.replace(tzinfo=UTC)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def period(start: datetime | None, end: datetime | None) -> Json:
    """Return a Period of the times that are known."""
    known = {"start": start, "end": end}
    return {name: instant(value) for name, value in known.items() if value}
