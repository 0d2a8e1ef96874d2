"""A submission must not take an id under which something of another patient is stored.

Its own ids become those of the store as they came (`commit`), so a `Patient/p` sent for somebody
else would take the place of the first, under reports that refer to it. Two Patients are different
people when both have an identifier of one system and none in common.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir.submission import identifiers
from services.gateway.store.stored import Key, Stored
from services.gateway.store.writing import Writing
from services.kernel import fhir
from services.kernel.errors import InvalidInput, MeshError, Violation

Json = Any
Resource = Mapping[str, Json]
Find = Callable[[Sequence[Key]], Awaitable[Mapping[Key, Stored]]]
"""Returns the current versions of those that exist."""
Patients = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
"""Returns by case id the reference of the Patient that a case is about."""

REASON = "ID_OF_ANOTHER_PATIENT"
MESSAGE = (
    "ids of this submission belong to another patient here; give each patient's resources ids "
    "that nobody else has, for instance UUIDs, and send it again"
)
PATIENT = "this id is that of a stored Patient with other identifiers; use a unique id"
OTHER = (
    "this id is that of a stored resource of another patient; use a unique id, or none and "
    "refer to it by a fullUrl urn:uuid:…"
)
OWNERS = ("subject", "patient", "for", "beneficiary")
_PATIENT = re.compile(r"(?:.*/)?Patient/([A-Za-z0-9.-]{1,64})(?:/_history/.*)?")


class OtherPatient(InvalidInput):
    """Ids of a submission are those of another patient's resources."""

    issue = "conflict"

    def __init__(self, violations: Sequence[Violation] = ()) -> None:
        super().__init__(MESSAGE, violations, reason=REASON)


@dataclass(frozen=True, slots=True)
class Claim:
    """The ids that a submission takes, and for whom."""

    patient: Resource
    full_url: str
    paths: Mapping[Key, str]
    """Type and id of each resource → its path in the Bundle."""

    @property
    def identifiers(self) -> list[str]:
        """Return the Patient's, as "system|value"."""
        return _identifiers(self.patient)


def claim_of(bundle: Json) -> Claim | None:
    """Return what a Bundle claims; None: it has no Patient with an id, or is no Bundle at all."""
    entries = bundle.get("entry") if isinstance(bundle, Mapping) else None
    paths: dict[Key, str] = {}
    patient, full_url = None, ""
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping):
            continue
        kind, own = resource.get("resourceType"), resource.get("id")
        if not isinstance(kind, str) or not isinstance(own, str):
            continue
        paths[(kind, own)] = f"Bundle.entry[{number}].resource.id"
        if kind == "Patient" and patient is None:
            patient, full_url = resource, str(entry.get("fullUrl", ""))
    return Claim(patient, full_url, paths) if patient else None


def differ(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two lists of "system|value" are those of two people."""
    systems = {_system(each) for each in one} & {_system(each) for each in other}
    return bool(systems) and not set(one) & set(other)


async def require(call: Call, content: bytes) -> None:
    """Refuse a submission Bundle whose ids are another patient's; what is malformed ingest says.

    Raises
    ------
    OtherPatient
        With the path of each id.
    """
    try:
        claim = claim_of(await asyncio.to_thread(fhir.parse, content))
    except MeshError:
        return
    if claim is None:
        return

    async def find(keys: Sequence[Key]) -> Mapping[Key, Stored]:
        found = await call.store.resources.find_many(call.tenant, keys)
        return {(each.type, each.id): each for each in found}

    async def patients(case_ids: Sequence[str]) -> Mapping[str, str]:
        cases = await call.store.cases.get_many(call.tenant, case_ids)
        return {case.case_id: str(case.label.get("patient_reference", "")) for case in cases}

    if problems := await violations(claim, find, patients) or await _awaited(call, claim, find):
        raise OtherPatient(problems)


async def require_unchanged(writing: Writing, resources: Sequence[Resource]) -> None:
    """Refuse what a case was sent with, when its ids have become another patient's meanwhile.

    Raises
    ------
    OtherPatient
    """
    claim = claim_of({"entry": [{"resource": each} for each in resources]})
    if claim and (problems := await violations(claim, writing.current_many)):
        raise OtherPatient(problems)


async def violations(claim: Claim, find: Find, patients: Patients | None = None) -> list[Violation]:
    """Return where a claim takes an id of another patient's."""
    found = {k: each for k, each in (await find(list(claim.paths))).items() if not each.deleted}
    stored = {key: dict(fhir.parse(each.content)) for key, each in found.items()}
    own = _key(claim.patient)
    named = {key: _owners(each) for key, each in stored.items() if key[0] != "Patient"}
    sent = {key: found[key].case_id for key, each in named.items() if any(map(_is_urn, each))}
    if sent and patients:  # such a subject meant something in the Bundle it came in alone
        of_case = await patients(sorted(set(sent.values())))
        named |= {key: [{"reference": of_case.get(each, "")}] for key, each in sent.items()}
    others = {("Patient", x) for refs in named.values() for x in map(_id_of, refs) if x} - {own}
    people = {
        key: _identifiers(fhir.parse(each.content))
        for key, each in (await find(sorted(others))).items()
        if not each.deleted
    }
    problems = []
    if own in stored and differ(claim.identifiers, _identifiers(stored[own])):
        problems.append(Violation(claim.paths[own], PATIENT))
    for key, references in named.items():
        if any(_is_other(each, claim, own, people) for each in references):
            problems.append(Violation(claim.paths[key], OTHER))
    return problems


def _is_other(
    reference: Resource, claim: Claim, own: Key, people: Mapping[Key, Sequence[str]]
) -> bool:
    """Tell whether a stored resource's subject is somebody else; not known counts as no."""
    if patient_id := _id_of(reference):
        key = ("Patient", patient_id)
        return key != own and not set(people.get(key, ())) & set(claim.identifiers)
    identifier = reference.get("identifier")
    if reference.get("reference") or not isinstance(identifier, Mapping):
        return False
    return differ(claim.identifiers, identifiers([identifier]))


async def _awaited(call: Call, claim: Claim, find: Find) -> list[Violation]:
    """Return the Patient's id when a case has it that waits: its Patient is not stored yet."""
    own = _key(claim.patient)
    if not claim.identifiers or own in await find([own]):
        return []
    people, tenant = call.store.people, call.tenant
    async with call.store.database.read() as connection:
        known = await people.subject(tenant, ["/".join(own)], connection=connection)
        if not known:
            return []
        for each in claim.identifiers:
            if await people.subject(tenant, [each], connection=connection) == known:
                return []
    return [Violation(claim.paths[own], PATIENT)]


def _key(resource: Resource) -> Key:
    return str(resource["resourceType"]), str(resource["id"])


def _identifiers(patient: Json) -> list[str]:
    found = patient.get("identifier")
    nodes = found if isinstance(found, list) else []
    return identifiers([each for each in nodes if isinstance(each, Mapping)])


def _system(identifier: str) -> str:
    return identifier.rpartition("|")[0]


def _owners(resource: Resource) -> list[Resource]:
    """Return the references that say whom a resource is about."""
    found = [resource.get(name) for name in OWNERS]
    each = [one for value in found for one in (value if isinstance(value, list) else [value])]
    return [one for one in each if isinstance(one, Mapping)]


def _is_urn(reference: Resource) -> bool:
    return str(reference.get("reference", "")).startswith("urn:")


def _id_of(reference: Resource) -> str:
    """Return the Patient's id that a reference names; empty: none."""
    found = _PATIENT.fullmatch(str(reference.get("reference", "")))
    return found[1] if found else ""
