"""Who a FHIR submission names: the strings that must not be found anywhere afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from services.anonymization import vocabulary
from services.anonymization.known import KnownStrings

Json = Any

_PEOPLE = frozenset(("Patient", "Practitioner", "RelatedPerson", "Person"))
_PARTIES = frozenset(
    (
        *("subject", "patient", "performer", "requester", "author", "authenticator", "custodian"),
        *("recorder", "asserter", "practitioner", "participant", "individual", "interpreter"),
        *("generalPractitioner", "managingOrganization", "source", "sender", "recipient", "actor"),
        *("responsibleParty", "referrer", "resultsInterpreter", "organization", "serviceProvider"),
        *("location", "who", "onBehalfOf", "attester", "party", "assigner", "agent"),
    )
)
"""Elements whose `display` names somebody or some place."""
_WORDY = frozenset(("text", "display", "valueString", "title", "div"))
_TAGS = re.compile(r"<[^<>]*>")


def strings_of(resources: Iterable[Mapping[str, Json]]) -> KnownStrings:
    """Return names, numbers and places of every resource of a submission."""
    names: set[str] = set()
    numbers: set[str] = set()
    places: set[str] = set()
    for resource in resources:
        kind = str(resource.get("resourceType"))
        if kind in _PEOPLE and isinstance(resource.get("id"), str):
            numbers.update(_ids(resource["id"]))
        if kind == "Patient":
            places.update(_other_texts(resource))
        if kind in ("Organization", "Location") and isinstance(resource.get("name"), str):
            places.update(_clean(resource["name"]))
        for key, node in _nodes(resource):
            names.update(_names(key, node, kind))
            numbers.update(_numbers(key, node))
            places.update(_places(key, node))
    return KnownStrings(frozenset(names), frozenset(numbers), frozenset(places))


def _nodes(value: Json, key: str = "") -> Iterator[tuple[str, Mapping[str, Json]]]:
    """Yield every object with the name of the element it stands in."""
    if isinstance(value, Mapping):
        yield key, value
        for name, item in value.items():
            yield from _nodes(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _nodes(item, key)


def _names(key: str, node: Mapping[str, Json], kind: str) -> Iterator[str]:
    if key == "name" and kind in (*_PEOPLE, "Organization"):
        given = _texts(node.get("given"))
        family = "".join(_texts(node.get("family")))
        yield from _clean(" ".join(_texts(node.get("text"))))
        if family or given:
            yield " ".join([family, *given]).strip()
    if key in _PARTIES:
        for text in _texts(node.get("display")):
            yield from _clean(text)
    if key == "reference" and isinstance(node.get("display"), str):
        yield from _clean(node["display"])


def _numbers(key: str, node: Mapping[str, Json]) -> Iterator[str]:
    if key in ("identifier", "masterIdentifier", "accession", "groupIdentifier", "requisition"):
        yield from _texts(node.get("value"))
    if key == "telecom":
        yield from _texts(node.get("value"))


def _places(key: str, node: Mapping[str, Json]) -> Iterator[str]:
    if key in ("address", "birthPlace", "valueAddress"):
        for part in ("text", "city", "district", "postalCode", "state"):
            for text in _texts(node.get(part)):
                yield from _clean(text)
        yield from _texts(node.get("line"))


def _other_texts(value: Json, key: str = "") -> Iterator[str]:
    """Yield what else a Patient says in words, in whatever element it stands."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name != "coding":  # a code's display names a kind, not a person
                yield from _other_texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _other_texts(item, key)
    elif isinstance(value, str) and key in _WORDY and not vocabulary.is_known(value):
        yield from (_TAGS.sub(" ", value).split("\n") if key == "div" else [value])


def _texts(value: Json) -> list[str]:
    found = value if isinstance(value, list) else [value]
    return [each.strip() for each in found if isinstance(each, str) and each.strip()]


def _clean(text: str) -> Iterator[str]:
    """Yield a text, and what stands in and outside of its brackets, each by itself."""
    for part in re.split(r"[()（）\[\]【】]", text):
        if part.strip():
            yield part.strip()


def _ids(resource_id: str) -> list[str]:
    """Return a resource id that may itself be a record number."""
    return [resource_id] if sum(map(str.isdigit, resource_id)) >= 4 else []
