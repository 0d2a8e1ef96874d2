"""A checked Bundle as the facts that make a case. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dxmesh.event.v1.case_ref_pb2 import Language, Priority
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest import bundle as bundles
from services.ingest import order, patient, studies
from services.ingest.limits import Defaults
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


@dataclass(frozen=True, slots=True)
class Keys:
    """What a submission is known by in the database, and the case it makes."""

    subject: str
    content: str
    all: tuple[str, ...]
    """In the order in which they are looked up: the stated identity goes before the content."""
    case_id: str


def read(content: bytes, defaults: Defaults) -> Submission:
    """Return what a Bundle submits.

    Raises
    ------
    InvalidInput
        Not JSON, or not a submission.
    """
    bundle = bundles.read(content, defaults.entries_max)
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
    stated = order.stated_due(request)
    return Submission(
        person=patient.key_of(who.resource, who.full_url),
        identity=_identity(bundle, request),
        digest=_digest(bundle),
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
    )


def keys(submission: Submission, hasher: Hasher) -> Keys:
    """Return a submission's keyed hashes; every one holds the patient's.

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
    return Keys(subject, content, (*stated, content), str(case_id))


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
