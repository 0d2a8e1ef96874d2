"""A submission Bundle, checked: everything wrong with it at once, each by its path. Pure.

Taken: type `transaction` or `collection` (a `batch` is a set of unrelated requests), exactly
one Patient and one ServiceRequest, at least one Consent, R4 resources only, all of them
about that Patient. One that ingest itself made of a laboratory's message may have several orders,
the first of which is the case's, and no Consent: what is recorded of the patient's decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from services.ingest import order, patient
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

Json = Any
Resource = Mapping[str, Json]

TYPES = ("transaction", "collection")
METHODS = ("POST", "PUT")
CONSENT_BYTES_MAX = 256 << 10
"""What the consent service takes."""
VIOLATIONS_MAX = 200
"""More than anybody reads; the answer has to fit one message."""
R4_TYPES = frozenset((resources.files(__package__) / "resource_types.txt").read_text().split())


class NotASubmission(InvalidInput):
    """The Bundle is no submission; every problem is named by its path."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a Bundle, and where it stands."""

    path: str
    full_url: str
    """Empty when there is none."""
    resource: Resource


def entries(bundle: Resource) -> Iterator[Entry]:
    """Yield every entry of a Bundle whose entries all have a resource."""
    for number, entry in enumerate(bundle["entry"]):
        path = f"Bundle.entry[{number}].resource"
        yield Entry(path, entry.get("fullUrl") or "", entry["resource"])


def read(content: bytes, entries_max: int, *, of_results: bool = False) -> Resource:
    """Return the Bundle in `content`; `of_results`: it was made here of a message.

    Raises
    ------
    InvalidInput
        Not JSON; see `kernel.fhir.parse`.
    NotASubmission
        It cannot be used; nothing of it is.
    """
    bundle = fhir.parse(content)
    found = list(_shape(bundle, entries_max))
    if not found:
        found = list(_problems(bundle, of_results))
    if found:
        more = len(found) - VIOLATIONS_MAX
        if more > 0:
            found[VIOLATIONS_MAX:] = [Violation("Bundle", f"{more} more problems")]
        raise NotASubmission(
            "the Bundle cannot be used; correct what is named", found, reason="NOT_A_SUBMISSION"
        )
    return dict(bundle)


def _shape(bundle: Json, entries_max: int) -> Iterator[Violation]:
    """Yield what keeps the Bundle from being looked at any further."""
    if not isinstance(bundle, Mapping) or bundle.get("resourceType") != "Bundle":
        yield Violation("resourceType", "must be Bundle")
        return
    found = bundle.get("entry")
    if not isinstance(found, Sequence) or isinstance(found, str) or not found:
        yield Violation("Bundle.entry", "must list the resources")
        return
    if len(found) > entries_max:
        yield Violation("Bundle.entry", f"at most {entries_max} entries")
        return
    for number, entry in enumerate(found):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping):
            yield Violation(f"Bundle.entry[{number}].resource", "missing")


def _problems(bundle: Resource, of_results: bool) -> Iterator[Violation]:
    malformed = [*_nulls(bundle, "Bundle"), *_frame_problems(bundle)]
    kinds: dict[str, list[Entry]] = {}
    for entry in entries(bundle):
        malformed += _resource_problems(entry.resource, entry.path)
        kinds.setdefault(str(entry.resource.get("resourceType")), []).append(entry)
    yield from malformed
    if not of_results:
        yield from _counts(kinds)
    if not malformed:  # what follows relies on types that were validated
        yield from _frame(bundle)
        yield from _relations(bundle, kinds)


def _nulls(value: Json, path: str) -> Iterator[Violation]:
    """Yield null members: R4 has none, and `fhir.resources` takes one for a required element."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if each is None:
                yield Violation(f"{path}.{name}", "null; leave the element out")
            yield from _nulls(each, f"{path}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _nulls(each, f"{path}[{number}]")


def _frame_problems(bundle: Resource) -> list[Violation]:
    """Return what R4 finds wrong around the resources."""
    bare = [{k: v for k, v in e.items() if k != "resource"} for e in bundle["entry"]]
    return fhir.problems({**bundle, "entry": [each or {"fullUrl": "urn:none"} for each in bare]})


def _frame(bundle: Resource) -> Iterator[Violation]:
    """Yield what a submission may not have around the resources."""
    if bundle.get("type") not in TYPES:
        yield Violation("Bundle.type", f"must be {' or '.join(TYPES)}")
    seen: set[str] = set()
    for number, entry in enumerate(bundle["entry"]):
        request = entry.get("request")
        if request and request.get("method") not in METHODS:
            place = f"Bundle.entry[{number}].request.method"
            yield Violation(place, f"must be {' or '.join(METHODS)}")
        full_url = entry.get("fullUrl")
        if full_url and full_url in seen:
            yield Violation(f"Bundle.entry[{number}].fullUrl", "used twice")
        seen.add(full_url)


def _resource_problems(resource: Resource, path: str) -> list[Violation]:
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in R4_TYPES:
        return [Violation(f"{path}.resourceType", "not a FHIR R4 resource type")]
    found = fhir.problems(resource)
    return [Violation(f"{path}{each.path.removeprefix(kind)}", each.problem) for each in found]


def _counts(kinds: Mapping[str, Sequence[Entry]]) -> Iterator[Violation]:
    for kind in ("Patient", "ServiceRequest"):
        found = kinds.get(kind, [])
        if not found:
            yield Violation("Bundle.entry", f"has no {kind}; exactly one is needed")
        for entry in found[1:]:
            yield Violation(entry.path, f"a second {kind}; exactly one is needed")
    if not kinds.get("Consent"):
        yield Violation("Bundle.entry", "has no Consent; at least one is needed")


def _relations(bundle: Resource, kinds: Mapping[str, Sequence[Entry]]) -> Iterator[Violation]:
    """Yield what is wrong between the resources."""
    patients, orders = kinds.get("Patient", ()), kinds.get("ServiceRequest", ())
    if len(patients) == 1:
        who = patient.person(patients[0].resource, patients[0].full_url)
        for entry in entries(bundle):
            yield from patient.strangers(entry.resource, entry.path, who)
    if len(orders) == 1:
        yield from order.problems(bundle, orders[0].resource, orders[0].path)
    for entry in kinds.get("Consent", ()):
        if len(fhir.dump(entry.resource)) > CONSENT_BYTES_MAX:
            yield Violation(entry.path, f"at most {CONSENT_BYTES_MAX} bytes")
