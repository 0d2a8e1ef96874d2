"""Whom a submission is about: the key of the person, and references that mean somebody else.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.kernel.errors import Violation

Json = Any
Resource = Mapping[str, Json]

ABOUT = ("subject", "patient", "for", "beneficiary")
"""Top-level elements that say whom a resource is about (R4: every patient-compartment type)."""
_RANKS = {"MR": 0, "PI": 1}
"""Identifier types (v2-0203) that name a person best: medical record number, patient internal."""
_PAST = frozenset(("old", "temp"))


@dataclass(frozen=True, slots=True)
class Person:
    """The Bundle's Patient, and everything that means it."""

    references: frozenset[str]
    """`Patient/<id>` and the entry's fullUrl."""
    identifiers: frozenset[tuple[str, str]]
    """System and value."""

    def is_meant(self, reference: str) -> bool:
        """Tell whether a literal reference means this Patient."""
        plain = reference.split("/_history/", 1)[0]
        return plain in self.references or _tail(plain) in self.references


def person(patient: Resource, full_url: str) -> Person:
    """Return the person of a Patient resource."""
    references = {full_url} if full_url else set()
    if patient.get("id"):
        references.add(f"Patient/{patient['id']}")
    found = {(i.get("system") or "", i["value"]) for i in _identifiers(patient)}
    return Person(frozenset(references), frozenset(found))


def key_of(patient: Resource, full_url: str) -> tuple[str, ...]:
    """Return what a person is known by: the same in every submission that states it.

    The medical record number goes first, then a patient-internal identifier, then any other
    with a system, then one without; without any identifier the resource's id.
    """
    ranked = sorted(
        (_rank(each), (each.get("system") or "").strip(), str(each["value"]).strip())
        for each in _identifiers(patient)
    )
    if ranked:
        _, system, value = ranked[0]
        return ("identifier", system, value)
    return ("reference", f"Patient/{patient['id']}" if patient.get("id") else full_url)


def strangers(resource: Resource, path: str, who: Person) -> Iterator[Violation]:
    """Yield every reference of a resource that means another patient, by path."""
    for name in ABOUT:
        value = resource.get(name)
        for place, each in _each(value, f"{path}.{name}"):
            if isinstance(each, Mapping) and not _is_about(each, who):
                yield Violation(place, "must be this Bundle's Patient")
    for number, contained in enumerate(resource.get("contained") or ()):
        if contained.get("resourceType") == "Patient":
            yield Violation(f"{path}.contained[{number}]", "a second Patient")
    skipped = {*ABOUT, "link"} if resource.get("resourceType") == "Patient" else set(ABOUT)
    rest = {name: value for name, value in resource.items() if name not in skipped}
    for place, literal in _literals(rest, path):
        if _names_a_patient(literal) and not who.is_meant(literal):
            yield Violation(place, "refers to another Patient than this Bundle's")


def _is_about(reference: Resource, who: Person) -> bool:
    """Tell whether an element means the person; a reference that says nothing passes."""
    if literal := reference.get("reference"):
        return who.is_meant(str(literal))
    identifier = reference.get("identifier")
    if isinstance(identifier, Mapping) and identifier.get("value"):
        return (identifier.get("system") or "", identifier["value"]) in who.identifiers
    return True


def _identifiers(patient: Resource) -> list[Resource]:
    return [each for each in patient.get("identifier") or () if each.get("value")]


def _rank(identifier: Resource) -> int:
    codings = (identifier.get("type") or {}).get("coding") or ()
    ranks = [_RANKS.get(str(each.get("code")), 2) for each in codings] or [2]
    if identifier.get("use") in _PAST:
        return 4
    return min(ranks) if identifier.get("system") else 3


def _each(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield f"{path}[{number}]", each
    elif value is not None:
        yield path, value


def _literals(value: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield every literal reference below, with its path."""
    if isinstance(value, Mapping):
        if isinstance(value.get("reference"), str):
            yield f"{path}.reference", value["reference"]
        for name, each in value.items():
            yield from _literals(each, f"{path}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _literals(each, f"{path}[{number}]")


def _names_a_patient(reference: str) -> bool:
    return _tail(reference.split("/_history/", 1)[0]).startswith("Patient/")


def _tail(reference: str) -> str:
    """Return `Type/id` of an absolute or relative reference."""
    parts = urlsplit(reference).path.split("/") if "://" in reference else reference.split("/")
    return "/".join(parts[-2:])
