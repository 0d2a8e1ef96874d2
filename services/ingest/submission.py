"""A checked Bundle as the facts that make a case. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dxmesh.event.v1.case_ref_pb2 import Language, Priority
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest import bundle as bundles
from services.ingest import corrections, order, patient, studies
from services.ingest.limits import Defaults
from services.ingest.results import Results
from services.kernel import fhir

Json = Any
Resource = Mapping[str, Json]

_ENVELOPE = ("id", "meta", "timestamp")
"""Elements of a Bundle that change when it is sent again."""


class Hasher(Protocol):
    """A tenant's keyed hash; `kernel.crypto.KeyedHash` is one."""

    def __call__(self, domain: str, *values: str) -> str:
        """Return 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a Bundle submits."""

    person: tuple[str, ...]
    """What the patient is known by."""
    identity: tuple[str, ...]
    """What the submission is known by; empty when it says nothing."""
    digest: str
    """SHA-256 of what it says, whatever its layout."""
    consents: list[tuple[str, bytes]]
    """Path and JSON of each Consent."""
    studies: list[studies.NamedStudy]
    purpose: str
    priority: Priority.ValueType
    language: Language.ValueType
    due: str
    """Due time as stated; empty: not stated."""
    problems: list[IntakeProblem]
    message: tuple[str, ...] = ()
    """What a sender calls the message it was made of, whoever the patient is."""
    results: Sequence[corrections.Stated] = ()
    """What it says was measured, as far as it can be known again."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a submission is known by in the database, and the case it makes."""

    subject: str
    content: str
    all: tuple[str, ...]
    """In the order in which they are looked up: the stated identity goes before the content."""
    case_id: str
    message: str = ""
    """That of the message alone: it must not come with other content."""


def read(content: bytes, defaults: Defaults, results: Results | None = None) -> Submission:
    """Return what a Bundle submits; `results`: what ingest made it of.

    Raises
    ------
    InvalidInput
        Not JSON, or not a submission.
    """
    bundle = bundles.read(content, defaults.entries_max, of_results=results is not None)
    found = list(bundles.entries(bundle))
    who, ordered = _only(found, "Patient"), _only(found, "ServiceRequest")
    request = ordered.resource
    imaging = [each for each in found if each.resource["resourceType"] == "ImagingStudy"]
    named, problems = studies.named((each.path, each.resource) for each in imaging)
    language, unavailable = order.language(bundle, request, defaults.language)
    if unavailable:
        text = f"no report is written in this language; it will be in {defaults.language}"
        place = "Bundle.language" if bundle.get("language") else f"{ordered.path}.language"
        problems.append(IntakeProblem(source=place, reason="LANGUAGE_NOT_OFFERED", message=text))
    if results:
        problems += results.problems
    stated = order.stated_due(request)
    return Submission(
        person=patient.key_of(who.resource, who.full_url),
        identity=() if results else _identity(bundle, request),
        digest=results.digest if results else _digest(bundle),
        consents=[
            (each.path, fhir.dump(each.resource))
            for each in found
            if each.resource["resourceType"] == "Consent"
        ],
        studies=named,
        purpose=order.purposes(bundle, request)[0],
        priority=order.priority(request),
        language=language,
        due=stated[1] if stated else "",
        problems=problems,
        message=results.name if results else (),
        results=corrections.stated(_named(found)),
    )


def keys(submission: Submission, hasher: Hasher) -> Keys:
    """Return a submission's keyed hashes; every one but a message's holds the patient's.

    The case id is made of the first, so that it is the same after a loss of the database.
    """
    subject = hasher("subject", *submission.person)
    content = hasher("submission-content", subject, submission.digest)
    stated = (
        (hasher("submission-identity", subject, *submission.identity),)
        if submission.identity
        else ()
    )
    first = (*stated, content)[0]
    case_id = uuid.UUID(hasher("case", first)[:32], version=5)
    message = hasher("submission-message", *submission.message) if submission.message else ""
    named = (message,) if message else ()
    return Keys(subject, content, (*named, *stated, content), str(case_id), message)


def _named(found: Sequence[bundles.Entry]) -> list[tuple[str, str, Resource]]:
    """Return reference, fullUrl and resource of entries, referred to as anonymization does."""
    named = []
    for each in found:
        own, url = each.resource.get("id"), each.full_url
        kind = each.resource["resourceType"]
        named.append((f"{kind}/{own}" if isinstance(own, str) else url, url, each.resource))
    return named


def _only(found: list[bundles.Entry], kind: str) -> bundles.Entry:
    return next(each for each in found if each.resource["resourceType"] == kind)


def _identity(bundle: Resource, request: Resource) -> tuple[str, ...]:
    """Return what the sender calls the submission: `Bundle.identifier`, else the order's."""
    own = bundle.get("identifier") or {}
    if own.get("value"):
        return ("bundle", own.get("system") or "", own["value"])
    found = sorted(
        (each.get("system") or "", each["value"])
        for each in request.get("identifier") or ()
        if each.get("value")
    )
    return ("order", *(part for pair in found for part in pair)) if found else ()


def _digest(bundle: Resource) -> str:
    said = {name: value for name, value in bundle.items() if name not in _ENVELOPE}
    return hashlib.sha256(fhir.dump(_sorted(said))).hexdigest()


def _sorted(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
