"""What of the store belongs in an export, as lines of its files. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from services.gateway.access.rights import Visibility
from services.gateway.export.job import Job, readable
from services.gateway.export.request import SYSTEM
from services.gateway.fhir.allowed import may_be_labelled
from services.gateway.fhir.search import match
from services.gateway.fhir.search.compartments import memberships
from services.gateway.fhir.search.criteria import Condition
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.fhir.search.shape import shaped
from services.kernel import fhir

Json = Mapping[str, Any]


class Selection:
    """Decides resource by resource; the same for all versions of one job."""

    def __init__(self, job: Job, base_url: str) -> None:
        self._asked = job.asked
        self._visibility: Visibility = readable(job.rights)
        self._base_url = base_url
        self._filters: dict[str, list[tuple[Condition, ...]]] = {}
        for kind, pairs in job.asked.filters:
            conditions = parse_criteria(kind, pairs, base_url=base_url)
            self._filters.setdefault(kind, []).append(conditions)
        patients = job.asked.patients
        self._patients = None if patients is None else {f"Patient/{each}" for each in patients}

    def may_hold(self, kind: str) -> bool:
        """Tell whether any resource of a type can be in it."""
        return self._visibility.of(kind) != ()

    @property
    def visibility(self) -> Visibility:
        """What whoever asked may see."""
        return self._visibility

    def line(self, kind: str, content: bytes, *, seen: bool = False) -> bytes | None:
        """Return a resource as a line; None: it does not belong in the export.

        The bytes are those that are stored, but for line breaks between the elements; with
        `_elements` the resource is written anew and marked SUBSETTED.

        Parameters
        ----------
        seen : that it may be seen was decided already
        """
        elements = [
            name for wanted, name in self._asked.elements if wanted in ("", kind)
        ]  # a type that no element is asked of stays whole
        if not elements and self._holds_unread(kind, content, seen=seen):
            return _one_line(content)
        resource = fhir.parse(content)
        if not self.holds(kind, resource, seen=seen):
            return None
        if not elements:
            return _one_line(content)
        return fhir.dump(shaped(resource, names=elements)) + b"\n"

    def holds(self, kind: str, resource: Json, *, seen: bool = False) -> bool:
        """Tell whether a resource belongs in it."""
        if not seen and not match.visible(self._visibility, resource, base_url=self._base_url):
            return False
        if self._asked.level != SYSTEM and not self._is_of_patients(kind, resource):
            return False
        filters = self._filters.get(kind)
        return filters is None or any(match.matches(each, resource) for each in filters)

    def _holds_unread(self, kind: str, content: bytes, *, seen: bool) -> bool:
        """Tell whether a resource belongs in it whatever its content says."""
        if self._asked.level != SYSTEM or kind in self._filters:
            return False
        if seen:
            return True
        labelled = not self._visibility.restricted and may_be_labelled(content)
        return self._visibility.of(kind) is None and not labelled

    def _is_of_patients(self, kind: str, resource: Json) -> bool:
        found = memberships(kind, resource)
        if self._patients is None:
            return any(address.startswith("Patient/") for address in found)
        return bool(found & self._patients)


def _one_line(content: bytes) -> bytes:
    """Return JSON on one line: a line break can only stand between its elements."""
    if b"\n" in content or b"\r" in content:
        content = content.replace(b"\r", b" ").replace(b"\n", b" ")
    return content + b"\n"


def deletion(kind: str, resource_id: str) -> dict[str, Any]:
    """Return the entry that says that a resource was deleted (Bulk Data 2, deleted)."""
    return {"request": {"method": "DELETE", "url": f"{kind}/{resource_id}"}}


def deletions(entries: list[dict[str, Any]]) -> bytes:
    """Return deletions as a line: a transaction Bundle."""
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return orjson.dumps(bundle) + b"\n"


def damaged(kind: str, resource_id: str) -> bytes:
    """Return the line of the error file for a resource that cannot be read."""
    issue = {
        "severity": "error",
        "code": "exception",
        "diagnostics": f"{kind}/{resource_id} is damaged in the store and is not in this export",
    }
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": [issue]}) + b"\n"
