"""Data types of v2 as FHIR has them. Pure.

Source: the v2-to-FHIR data type maps CWE[CodeableConcept], CX[Identifier], EI[Identifier],
HD[uri], XPN[HumanName], XAD[Address], XTN[ContactPoint], XCN[Practitioner].
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from services.ingest.hl7v2 import codes
from services.ingest.hl7v2.moments import day
from services.ingest.hl7v2.reader import Part
from services.ingest.hl7v2.site import Site

Json = dict[str, Any]

_USES = {"PRN": "home", "ORN": "home", "WPN": "work", "VHN": "home", "PRS": "mobile"}
_EQUIPMENT = {"PH": "phone", "CP": "phone", "FX": "fax", "Internet": "email", "X.400": "email"}
_EQUIPMENT |= {"BP": "pager", "SAT": "phone"}
_ADDRESS_USES = {"H": "home", "M": "home", "B": "work", "O": "work", "C": "temp", "BA": "old"}


def present(**members: Any) -> Json:
    """Return an object of the members that have a value; FHIR has no empty ones."""
    kept = (item for item in members.items() if item[1] or isinstance(item[1], bool | Decimal))
    return {name.rstrip("_"): value for name, value in kept}


def coded(text: str) -> str:
    """Return a text as a FHIR code: no spaces around, single ones within."""
    return " ".join(text.split())


def concept(part: Part, site: Site) -> Json:
    """Return a CodeableConcept of a CE, CWE, CNE or IS; empty when there is nothing."""
    codings = []
    for at, name, version, oid in ((1, 3, 7, 14), (4, 6, 8, 17), (10, 12, 13, 20)):
        if code := coded(part.text(at)):
            system = codes.system(part.text(name), part.text(oid), site)
            label, edition = part.text(at + 1), part.text(version)
            codings.append(present(system=system, version=edition, code=code, display=label))
    return present(coding=codings, text=part.text(9) or part.text(2))


def concepts(parts: Iterable[Part], site: Site) -> list[Json]:
    """Return the CodeableConcepts of a repeating field."""
    return [made for part in parts if (made := concept(part, site))]


def authority(part: Part, component: int, site: Site, default: str = "") -> str:
    """Return the URI of an assigning authority, an HD within a component (CX.4).

    What the sender's table says goes first, then a universal id, then the namespace.
    """
    parts = [*part.texts(component), "", "", ""][:3]
    return _uri(parts[0], parts[1], parts[2], site) or default


def entity(part: Part, site: Site, kind: str = "", default: str = "") -> Json:
    """Return an Identifier of an EI: value, namespace, universal id and its type."""
    value = part.text(1)
    if not value:
        return {}
    system = _uri(part.text(2), part.text(3), part.text(4), site) or default
    return present(type_=_kind(kind), system=system, value=value)


def identifier(part: Part, site: Site, default: str, kind: str = "") -> Json:
    """Return an Identifier of a CX; empty when it has no value."""
    value = part.text(1)
    if not value:
        return {}
    return present(
        type_=_kind(part.text(5) or kind),
        system=authority(part, 4, site, default),
        value=value,
        period=present(start=day(part.text(7)), end=day(part.text(8))),
    )


def name(part: Part) -> Json:
    """Return a HumanName of an XPN; empty when it has none."""
    family, given = part.text(1), [part.text(2), *part.text(3).split()]
    made = present(
        family=family,
        given=[each for each in given if each],
        prefix=[each for each in (part.text(5),) if each],
        suffix=[each for each in (part.text(4), part.text(6), part.text(14)) if each],
    )
    return present(use=codes.code("name_use", part.text(7))) | made if made else {}


def address(part: Part) -> Json:
    """Return an Address of an XAD; empty when it has none."""
    lines = [text for text in (*part.texts(1), part.text(2)) if text]
    made = present(
        line=lines,
        city=part.text(3),
        district=part.text(9),
        state=part.text(4),
        postalCode=part.text(5),
        country=part.text(6),
    )
    return present(use=_ADDRESS_USES.get(part.text(7), "")) | made if made else {}


def contact(part: Part, use: str) -> Json:
    """Return a ContactPoint of an XTN; empty when it has none."""
    number = "".join(text for text in (part.text(5), part.text(6), part.text(7)) if text)
    value = part.text(4) or part.text(1) or part.text(12) or number
    if not value:
        return {}
    system = _EQUIPMENT.get(part.text(3)) or ("email" if "@" in value else "phone")
    return present(system=system, value=value, use=_USES.get(part.text(2), use))


def person(part: Part, site: Site, kind: str = "Practitioner") -> Json:
    """Return who an XCN names, as a reference by identifier and name; empty when nobody."""
    shown = " ".join(t for t in (part.text(6), part.text(3), part.text(4), part.text(2)) if t)
    number = part.text(1)
    known = present(system=authority(part, 9, site), value=number) if number else {}
    return present(type_=kind, identifier=known, display=shown) if known or shown else {}


def place(part: Part) -> Json:
    """Return where a PL is, as a reference by its name; empty when nowhere."""
    levels = (part.text(4), part.text(7), part.text(8), part.text(1), part.text(2), part.text(3))
    shown = " ".join(text for text in levels if text) or part.text(9)
    return {"type": "Location", "display": shown} if shown else {}


def organization(part: Part, site: Site) -> Json:
    """Return which organization an XON names, as a reference; empty when none."""
    number = part.text(10) or part.text(3)
    known = present(system=authority(part, 6, site), value=number) if number else {}
    shown = part.text(1)
    return present(type_="Organization", identifier=known, display=shown) if known or shown else {}


def _kind(code: str) -> Json:
    return {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": coded(code)}]} if code else {}


def _uri(namespace: str, universal: str, kind: str, site: Site) -> str:
    for stated in (namespace, universal):
        if stated and stated in site.authorities:
            return site.authorities[stated]
    if universal:
        plain = quote(universal, safe=":/.-_~%?=&#+@")
        prefix = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "GUID": "urn:uuid:", "URI": ""}
        return prefix.get(kind, f"urn:{quote(kind.lower() or 'dns', safe='')}:") + plain
    return f"{codes.OURS}{quote(namespace, safe='')}" if namespace else ""
