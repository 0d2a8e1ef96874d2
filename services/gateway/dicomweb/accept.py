"""What a DICOMweb client can take, from `Accept` or the query parameter of that name. Pure.

Clients write the inner type quoted or not, put several ranges in one header or in several, and
mean "as you have it" by `transfer-syntax=*`; all of it is understood.

Source: DICOM PS3.18 8.7 (media types), RFC 9110 12.5.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.gateway.fhir.outcome import NotAcceptable

MULTIPART = "multipart/related"
DICOM, OCTETS = "application/dicom", "application/octet-stream"
DICOM_JSON = "application/dicom+json"
JSON_TYPES = (DICOM_JSON, "application/json")
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
AS_STORED = "*"
RANGES_MAX = 64
FRAME_TYPES = {
    "image/jpeg": {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70)},
    "image/jls": {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"},
    "image/jp2": {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"},
    "image/jpx": {"1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"},
    "image/jphc": {f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203)},
    "image/x-dicom-rle": {"1.2.840.10008.1.2.5"},
    "image/dicom-rle": {"1.2.840.10008.1.2.5"},
}
"""Media type of a frame → transfer syntaxes it may be of (PS3.18 Table 8.7.3-5)."""
RENDERED = ("image/jpeg", "image/png")


@dataclass(frozen=True, slots=True)
class Range:
    """One media range."""

    kind: str
    """For example "multipart/related"; lower case."""
    inner: str = ""
    """Type of the parts of a multipart; empty: any."""
    syntax: str = ""
    """Transfer Syntax UID, "*" for any, empty when it is not said."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """How an answer is to be sent."""

    kind: str
    """Type of each part, or of the answer."""
    multipart: bool
    syntax: str
    """Transfer syntax to send; "*": as it is stored."""


def ranges(headers: Iterable[str], parameters: Iterable[str] = ()) -> list[Range]:
    """Return what is accepted, the best first; a query parameter goes before the header."""
    asked = [text for text in parameters if text.strip()]
    found = [_range(part) for text in asked or headers for part in split(text, ",")]
    usable = [one for one in found[:RANGES_MAX] if one.kind and one.weight > 0]
    if not found:
        return [Range("*/*")]
    return sorted(usable, key=lambda one: -one.weight)


def split(text: str, mark: str) -> list[str]:
    """Return the parts between marks that do not stand in quotes."""
    parts, quoted, start = [], False, 0
    for place, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif char == mark and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _range(text: str) -> Range:
    kind, *parameters = split(text, ";")
    values: dict[str, str] = {}
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        values[name.strip().lower()] = value.strip().strip('"').strip()
    try:
        weight = float(values.get("q", "1"))
    except ValueError:
        weight = 0.0
    inner, syntax = values.get("type", "").lower(), values.get("transfer-syntax", "")
    return Range(kind.strip().strip('"').lower(), inner, syntax, weight)


def takes_json(asked: Sequence[Range]) -> None:
    """Let a request pass that can take DICOM JSON.

    Raises
    ------
    NotAcceptable
    """
    for one in asked:
        kind = one.inner if one.kind == MULTIPART and one.inner else one.kind
        if kind in (*JSON_TYPES, "*/*", "application/*"):
            return
    raise NotAcceptable(f"only {DICOM_JSON} is served here", reason="NOT_ACCEPTABLE")


def of_instances(asked: Sequence[Range], *, single: bool) -> Chosen:
    """Return how DICOM files are sent; `single`: one alone may come without multipart.

    Raises
    ------
    NotAcceptable
    """
    for one in asked:
        if one.kind == MULTIPART and one.inner in ("", DICOM, "*/*"):
            return Chosen(DICOM, True, _wanted(one))
        if one.kind == DICOM and (single or len(asked) == 1):
            # Old clients ask for several files so; a multipart is what they get from others too.
            return Chosen(DICOM, not single, _wanted(one))
        if one.kind in ("*/*", "application/*", "multipart/*"):
            return Chosen(DICOM, True, _wanted(one))
    raise NotAcceptable(
        'ask for multipart/related; type="application/dicom"', reason="NOT_ACCEPTABLE"
    )


def of_bulk(asked: Sequence[Range], stored: str) -> Chosen:
    """Return how frames or other bulk data are sent that are stored in a transfer syntax.

    Raises
    ------
    NotAcceptable
    """
    for one in asked:
        several = one.kind == MULTIPART
        kind = (one.inner or "*/*") if several else one.kind
        if kind in FRAME_TYPES and stored in FRAME_TYPES[kind]:
            if one.syntax in ("", AS_STORED, stored):
                return Chosen(kind, several, AS_STORED)
        elif kind == OCTETS:
            # Octets of no stated syntax are Explicit VR Little Endian (PS3.18 8.7.3.3.2).
            return Chosen(OCTETS, several, one.syntax or EXPLICIT_LITTLE)
        elif kind in ("*/*", "image/*", "application/*", "multipart/*"):
            return Chosen(OCTETS, True, one.syntax or AS_STORED)
    raise NotAcceptable(
        'ask for multipart/related; type="application/octet-stream"; transfer-syntax=*',
        reason="NOT_ACCEPTABLE",
    )


def of_rendered(asked: Sequence[Range]) -> str:
    """Return the type of picture to send.

    Raises
    ------
    NotAcceptable
    """
    for one in asked:
        kind = one.inner if one.kind == MULTIPART else one.kind
        if kind in RENDERED:
            return kind
        if kind in ("*/*", "image/*", "multipart/*", ""):
            return RENDERED[0]
    raise NotAcceptable("pictures are image/jpeg or image/png", reason="NOT_ACCEPTABLE")


def _wanted(one: Range) -> str:
    """Return the syntax asked for; as stored when nothing is said, so that nothing is lost."""
    return one.syntax or AS_STORED
