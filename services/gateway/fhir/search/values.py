"""The values a search parameter finds in a resource, by the parameter's type. Pure.

Source: FHIR R4, search.html 3.1.1.4, the tables of each parameter type; datatypes.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from services.gateway.fhir.search.expressions import Node, target_type
from services.gateway.fhir.search.measures import Measure, measures, numbers
from services.gateway.fhir.search.ranges import HIGHEST, LOWEST, Range, date_range
from services.gateway.fhir.search.strings import is_ideograph

TEXT_MAX = 1 << 16
"""Characters of one value that are looked at."""
NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


class Token(NamedTuple):
    """A code or identifier with its system."""

    code: str
    system: str = ""
    folded: bool = False
    """Whether case does not matter: of strings and contact points."""
    implied: bool = False
    """Whether the system stands in the definition, not in the resource."""
    texts: tuple[str, ...] = ()
    """Its display, or the text of its concept or of the identifier's type."""
    types: tuple[tuple[str, str], ...] = ()
    """(system, code) of an identifier's type."""


class Pointer(NamedTuple):
    """A reference as it is written, and what can be read from it."""

    url: str
    """Type/id, an absolute address or a canonical without its version; empty: none."""
    kind: str = ""
    id: str = ""
    version: str = ""
    local: bool = False
    """Whether it is Type/id of this server."""
    identifier: Token | None = None


Value = str | Token | Range | Pointer | Measure


def values(kind: str, node: Node, root: Mapping[str, Any]) -> Iterator[Value]:
    """Yield what an element means to a parameter of a type; nothing when it means nothing."""
    element, element_type, system = node
    if element_type == "Resource" and isinstance(element, dict):
        element_type = str(element.get("resourceType"))
    if kind == "string":
        yield from _strings(element, element_type)
    elif kind == "token":
        yield from _tokens(element, element_type, system)
    elif kind == "reference":
        yield from _pointers(element, element_type, root)
    elif kind == "date":
        yield from _dates(element)
    elif kind == "quantity":
        yield from measures(element, element_type)
    elif kind == "number":
        yield from numbers(element)
    elif kind == "uri" and isinstance(element, str):
        yield element[:TEXT_MAX]


def _strings(element: Any, kind: str) -> Iterator[str]:
    if isinstance(element, str):
        if element.strip():
            yield element[:TEXT_MAX]
    elif isinstance(element, dict):
        names = {"HumanName": NAME_PARTS, "Address": ADDRESS_PARTS}.get(kind, ("text", "display"))
        for name in names:
            part = element.get(name)
            for text in part if isinstance(part, list) else (part,):
                if isinstance(text, str) and text.strip():
                    yield text[:TEXT_MAX]
        if kind == "HumanName":
            yield from _joined(element)


def _joined(name: Mapping[str, Any]) -> Iterator[str]:
    """Yield a Chinese name as it is written and searched for: family before given, no space."""
    family, given = name.get("family"), name.get("given")
    if isinstance(family, str) and isinstance(given, list) and family:
        whole = family + "".join(part for part in given if isinstance(part, str))
        if all(is_ideograph(character) for character in whole) and whole != family:
            yield whole


def _tokens(element: Any, kind: str, system: str) -> Iterator[Token]:
    if isinstance(element, bool):
        yield Token("true" if element else "false")
    elif isinstance(element, str):
        yield Token(element[:TEXT_MAX], system, kind in ("string", "markdown"), bool(system))
    elif isinstance(element, int | Decimal | float):
        yield Token(str(element))
    elif isinstance(element, dict):
        if kind == "CodeableConcept" or "coding" in element:
            yield from _concept(element)
        elif kind in ("Identifier", "ContactPoint"):
            yield from _identifier(element, contact=kind == "ContactPoint")
        elif kind in ("Coding", "Quantity"):
            yield from _coding(element, ())


def _concept(element: Mapping[str, Any]) -> Iterator[Token]:
    text = element.get("text")
    texts = (text,) if isinstance(text, str) else ()
    codings = element.get("coding")
    found = False
    for coding in codings if isinstance(codings, list) else ():
        for token in _coding(coding, texts):
            found = True
            yield token
    if not found and texts:
        yield Token("", texts=texts)


def _coding(coding: Any, texts: tuple[str, ...]) -> Iterator[Token]:
    if not isinstance(coding, dict):
        return
    code, system, display = coding.get("code"), coding.get("system"), coding.get("display")
    if isinstance(display, str):
        texts = (*texts, display)
    code = code if isinstance(code, str) else ""
    system = system if isinstance(system, str) else ""
    if code or system or texts:
        yield Token(code, system, texts=texts)


def _identifier(element: Mapping[str, Any], *, contact: bool) -> Iterator[Token]:
    code, system, kind = element.get("value"), element.get("system"), element.get("type")
    if not isinstance(code, str):
        code = ""
    types: list[tuple[str, str]] = []
    texts: tuple[str, ...] = ()
    if isinstance(kind, dict):
        text = kind.get("text")
        texts = (text,) if isinstance(text, str) else ()
        types = [(token.system, token.code) for token in _concept(kind) if token.code]
    system = system if isinstance(system, str) else ""
    if code or system:
        yield Token(code, system, contact, texts=texts, types=tuple(types))


_LOCAL = re.compile(
    r"(?P<base>.*/)?(?P<kind>[A-Z][A-Za-z]{1,63})/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
)


def pointer(text: str) -> Pointer:
    """Return what a reference, written out, points to."""
    found = _LOCAL.fullmatch(text)
    if not found:
        return Pointer(text)
    base, kind, resource_id, version = found.groups()
    url = f"{base or ''}{kind}/{resource_id}"
    return Pointer(url, kind, resource_id, version or "", not base)


def _pointers(element: Any, kind: str, root: Mapping[str, Any]) -> Iterator[Pointer]:
    if isinstance(element, str):
        url, _, version = element[:TEXT_MAX].partition("|")
        if kind == "canonical" or version:
            yield Pointer(url, version=version)
        elif url:
            yield pointer(url)
        return
    if not isinstance(element, dict):
        return
    if "resourceType" in element:
        if isinstance(element.get("id"), str):
            yield pointer(f"{element['resourceType']}/{element['id']}")
        return
    text, written = element.get("reference"), element.get("identifier")
    tokens = list(_identifier(written, contact=False)) if isinstance(written, dict) else []
    token = tokens[0] if tokens else None
    if isinstance(text, str) and text and not text.startswith("#"):
        yield pointer(text[:TEXT_MAX])._replace(identifier=token)
    elif token:
        yield Pointer("", target_type(element, root), identifier=token)


def _dates(element: Any) -> Iterator[Range]:
    if isinstance(element, str):
        if found := date_range(element):
            yield found
    elif isinstance(element, dict):
        repeat = element.get("repeat")
        bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
        parts = [bounds] if isinstance(bounds, dict) else []
        events = element.get("event")
        whole = [
            found
            for one in (events if isinstance(events, list) else ())
            if isinstance(one, str) and (found := date_range(one))
        ]
        if "start" in element or "end" in element:
            parts.append(element)
        whole += [_period(part) for part in parts]
        if whole:
            yield Range(min(one.low for one in whole), max(one.high for one in whole))


def _period(element: Mapping[str, Any]) -> Range:
    start, end = element.get("start"), element.get("end")
    first = date_range(start) if isinstance(start, str) else None
    last = date_range(end) if isinstance(end, str) else None
    return Range(first.low if first else LOWEST, last.high if last else HIGHEST)
