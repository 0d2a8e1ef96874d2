"""A submission Bundle read, and the documents for labs and notes made of it. Pure.

What goes back through the gateway to the hospital is kept as submitted; what goes on to
analysis is built anew by `fhir_rules` and `text.redact`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from typing import Any

from services.anonymization import (
    clinical,
    comments,
    contained,
    dates,
    fhir_identity,
    fhir_notes,
    fhir_rules,
    gestation,
    laboratory,
    local_codes,
    restriction,
)
from services.anonymization.documents.taken import UnusableNote
from services.anonymization.identity import Identity
from services.anonymization.known import KnownStrings
from services.anonymization.pseudonyms import Pseudonyms
from services.anonymization.text.redact import redact
from services.kernel import fhir
from services.kernel.errors import InvalidInput

Json = Any
Resource = Mapping[str, Json]

AGE_YEARS_MAX = 90
"""Ages over 89 become this one: 45 CFR 164.514(b)(2)(i)(C)."""
NEWBORN_DAYS = 28
_PREGNANCY_STATUS = "82810-3"
_PREGNANT, _NOT_PREGNANT = "77386006", "60001007"
_SEXES = frozenset(("male", "female", "other"))


@dataclass(frozen=True, slots=True)
class Submission:
    """The resources of a submission that matter here, each with its reference."""

    patient: Resource
    service_request: Resource
    imaging_studies: tuple[Resource, ...]
    observations: tuple[tuple[str, Resource], ...]
    notes: tuple[fhir_notes.Note, ...]
    unusable: tuple[UnusableNote, ...]
    known: KnownStrings
    aliases: Mapping[str, str] = field(default_factory=dict)
    """fullUrl → reference, for references written either way."""
    specimens: Mapping[str, str] = field(default_factory=dict)
    """Reference of a Specimen, written either way → its kind in words."""
    comments: tuple[comments.Comment, ...] = ()
    """What the laboratory wrote of orders and specimens."""
    restricted: bool = False
    """Whether the order, or anything that is analysed, is labelled R or V."""
    confidentiality: str = ""
    """The strictest of these labels of what is analysed: results and notes; empty: none."""


def read(content: bytes) -> Submission:
    """Return the submission in a Bundle's JSON.

    Raises
    ------
    InvalidInput
        Not a Bundle with a Patient.
    """
    bundle = fhir.parse(content)
    entries = bundle.get("entry") if isinstance(bundle, Mapping) else None
    if not isinstance(entries, list):
        raise InvalidInput("a submission is a Bundle with entries", reason="NOT_A_BUNDLE")
    named = list(_named(entries))
    by_kind: dict[str, list[tuple[str, Resource]]] = {}
    for reference, _, resource in named:
        by_kind.setdefault(str(resource.get("resourceType")), []).append((reference, resource))
    if "Patient" not in by_kind:
        raise InvalidInput("a submission needs a Patient", reason="NO_PATIENT")
    documents = [*by_kind.get("DocumentReference", ()), *by_kind.get("Composition", ())]
    binaries = {
        name: resource
        for reference, url, resource in named
        for name in (reference, url)
        if name and resource.get("resourceType") == "Binary"
    }
    patient = by_kind["Patient"][0][1]
    found = [
        _of(patient, note)
        for reference, each in documents
        for note in fhir_notes.notes(each, reference, binaries)
    ]
    taken = tuple(each for each in found if isinstance(each, fhir_notes.Note))
    return Submission(
        patient=patient,
        service_request=_first(by_kind.get("ServiceRequest")),
        imaging_studies=tuple(each for _, each in by_kind.get("ImagingStudy", ())),
        observations=(
            *by_kind.get("Observation", ()),
            *(each for name, _, within in named for each in contained.results(name, within)),
        ),
        notes=taken,
        unusable=tuple(each for each in found if isinstance(each, UnusableNote)),
        known=_strings(taken, named),
        aliases={url: reference for reference, url, _ in named if url},
        specimens=laboratory.specimens(named),
        comments=comments.of_orders(named),
        restricted=any(restriction.is_restricted(resource) for _, _, resource in named),
        confidentiality=restriction.strictest(resource for _, _, resource in named),
    )


def _strings(
    notes: Iterable[fhir_notes.Note], named: Iterable[tuple[str, str, Resource]]
) -> KnownStrings:
    """Return what names the patient, in notes and resources."""
    resources = fhir_identity.strings_of(resource for _, _, resource in named)
    return reduce(or_, (note.known for note in notes), resources)


def _of(patient: Resource, note: fhir_notes.Note | UnusableNote) -> fhir_notes.Note | UnusableNote:
    """Return a note, or why not: a document that says itself that it is about somebody else."""
    born = str(patient.get("birthDate") or "").replace("-", "")
    stated = note.birth_date if isinstance(note, fhir_notes.Note) else ""
    if len(born) == len(stated) == 8 and born != stated:
        return UnusableNote(
            "a document names another date of birth than the Patient",
            reason="NOTE_OF_ANOTHER_PATIENT",
        )
    return note


def of_identity(identity: Identity) -> Submission:
    """Return what is kept of a submission: the patient, the order and the studies.

    The names, numbers and places that its other resources held are known as they were.
    """
    kept = [identity.patient, identity.service_request, *identity.imaging_studies]
    entries = [{"resource": fhir.parse(each.encode())} for each in kept if each]
    found = read(fhir.dump({"resourceType": "Bundle", "entry": entries}))
    strings = KnownStrings(
        frozenset(identity.names), frozenset(identity.numbers), frozenset(identity.places)
    )
    return replace(found, known=found.known | strings)


def _named(entries: Iterable[Json]) -> Iterable[tuple[str, str, Resource]]:
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping):
            continue
        url = entry.get("fullUrl") if isinstance(entry.get("fullUrl"), str) else ""
        own = resource.get("id")
        reference = f"{resource.get('resourceType')}/{own}" if isinstance(own, str) else url
        yield reference, url, resource


def _first(found: Sequence[tuple[str, Resource]] | None) -> Resource:
    return found[0][1] if found else {}


def subject(submission: Submission, at: str) -> dict[str, Json]:
    """Return sex, age and pregnancy: all that analysis is told of the person.

    `at` is the day the age is for, YYYY-MM-DD, unless the order says one. An adult's age
    is whole years, a child's has one decimal, nobody is over 90. A newborn's days are told
    too: limits of what is critical are theirs alone; of a pregnancy its weeks, for the ranges.
    """
    gender = submission.patient.get("gender")
    ordered = submission.service_request.get("authoredOn")
    birth = submission.patient.get("birthDate")
    day = ordered if isinstance(ordered, str) and len(ordered) >= 10 else at
    years = dates.years_between(birth if isinstance(birth, str) else "", day)
    age: float | None = None
    if years is not None:
        age = float(min(int(years), AGE_YEARS_MAX)) if years >= 18 else round(years, 1)
    person: dict[str, Json] = {
        "sex": gender if gender in _SEXES else "unknown",
        "age_years": age,
        "pregnant": _pregnant(submission),
    }
    whole = isinstance(birth, str) and len(birth) >= 10  # of a month alone the days are a guess
    if whole and years is not None and (days := round(years * dates.DAYS_A_YEAR)) <= NEWBORN_DAYS:
        person["age_days"] = days
    told = [r for _, r in submission.observations if gestation.CODES & _codes(r.get("code"))]
    if person["pregnant"] and (weeks := gestation.weeks_at(told, day)) is not None:
        person["gestation_weeks"] = weeks
    return person


def _pregnant(submission: Submission) -> bool | None:
    for _, resource in submission.observations:
        if _PREGNANCY_STATUS in _codes(resource.get("code")):
            found = _codes(resource.get("valueCodeableConcept"))
            if _PREGNANT in found or _NOT_PREGNANT in found:
                return _PREGNANT in found
    return None


def _codes(concept: Json) -> set[str]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    nodes = codings if isinstance(codings, list) else []
    return {str(each.get("code")) for each in nodes if isinstance(each, Mapping)}


def labs_part(
    submission: Submission,
    known: KnownStrings,
    pseudonyms: Pseudonyms,
    person: Mapping[str, Json],
    listed: local_codes.Pairs = local_codes.NONE,
) -> tuple[bytes, dict[str, str]]:
    """Return the labs document, and id → reference as submitted; empty bytes when no results.

    Vital signs and the like go along, as inputs of scores; see `clinical`. `listed`: local codes
    of the tenant's laboratory that may stay.
    """
    chosen = [
        (reference, resource)
        for reference, resource in submission.observations
        if not (found := _categories(resource)) & clinical.OTHERS
        or clinical.is_input(resource, found)
    ]
    if not chosen:
        return b"", {}
    ids = {reference: f"lab-{number}" for number, (reference, _) in enumerate(chosen, 1)}
    known_as = ids | {url: ids[ref] for url, ref in submission.aliases.items() if ref in ids}
    who = pseudonyms.subject_pseudonym()
    days, kinds = pseudonyms.shift_days, submission.specimens
    rules = fhir_rules.Rules(known, days, who, known_as, kinds, listed)
    made = [
        fhir_rules.observation(resource, f"lab-{number}", rules)
        | clinical.marked(_categories(resource))
        | ({} if _categories(resource) & clinical.OTHERS else comments.own(resource, known))
        for number, (_, resource) in enumerate(chosen, 1)
    ]
    document: dict[str, Json] = {"subject": dict(person), "observations": made}
    if said := comments.written(submission.comments, ids, known):
        document["comments"] = said
    named = {new: name for name, new in ids.items() if contained.is_reference(name)}
    return fhir.dump(document), named


def _categories(resource: Resource) -> set[str]:
    categories = resource.get("category")
    nodes = categories if isinstance(categories, list) else []
    return {code for each in nodes for code in _codes(each)}


def notes_part(
    submission: Submission,
    known: KnownStrings,
    pseudonyms: Pseudonyms,
    person: Mapping[str, Json],
) -> tuple[bytes, dict[str, str]]:
    """Return the notes document, and id → reference as submitted; empty bytes when no notes."""
    if not submission.notes:
        return b"", {}
    made: list[dict[str, str]] = []
    for number, note in enumerate(submission.notes, 1):
        redacted = redact(note.text, known, pseudonyms.shift_days)
        made.append(
            {
                "id": f"note-{number}",
                "language": redacted.language,
                "type": note.kind,
                "text": redacted.text,
            }
        )
    document = fhir.dump({"subject": dict(person), "notes": made})
    return document, {f"note-{n}": note.reference for n, note in enumerate(submission.notes, 1)}
