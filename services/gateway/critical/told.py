"""A critical event with whom it is about: what its notices are called, and found by. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dxmesh.event.v1.critical_found_pb2 import CriticalFound

from services.gateway.critical.statements import Statement
from services.gateway.fhir import submission
from services.gateway.fhir.search import match
from services.gateway.progress import Case, to_us
from services.gateway.restore import Identity
from services.kernel.crypto import KeyedHash


class Told:
    """An event with whom it is about."""

    def __init__(
        self,
        event: CriticalFound,
        case: Case,
        who: Identity,
        hasher: KeyedHash,
        measured: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.event = event
        self.case = case
        self.identity = who
        self.found_us = to_us(event.found_time)
        self.received_us = to_us(event.case.received_time)
        self._hasher = hasher
        self._measured = measured

    def notice_id(self, said: Statement) -> str:
        """Return the id of a notice: another value of the same result is another notice.

        Of images, which are read again when more of them come, the kind alone counts.
        """
        what = [said.kind, said.name]
        if said.kind == "labs":
            what += [self.event.part_id, said.result_id, said.flag, said.value, said.limit]
        made = self._hasher("critical-notice", self.event.case.case_id, *what)
        return str(uuid.UUID(made[:32]))

    def part_hash(self) -> str:
        """Return what an event's part is remembered by, once another has taken its place."""
        return superseded(self._hasher, self.event.case.case_id, self.event.part_id)

    def hashes(self, result_id: str) -> tuple[str, str]:
        """Return what a result is found by in other cases, empty where it has none.

        The patient's result as it was submitted; what was measured of the patient, of what
        specimen, and when.
        """
        patient = str(self.identity.patient.get("id", ""))
        whole, _, component = result_id.partition("#")
        about = same = ""
        if reference := self.identity.references.get(whole):
            about = self._hasher("critical-about", patient, reference, component)
        if measured := self._measured.get(result_id):
            same = self._hasher("critical-same", patient, *measured)
        return about, same


def superseded(hasher: KeyedHash, case_id: str, part_id: str) -> str:
    """Return what a part is remembered by, once another has taken its place."""
    return hasher("critical-superseded", case_id, part_id)


def named(case: Case, who: Identity) -> Case:
    """Return a case with whom it is about, where its sender has not told the gateway itself.

    A row of the worklist that nobody can tell from another helps no patient.
    """
    code = who.confidentiality
    if code and "confidentiality" not in case.label:  # the submission may not be noted yet
        case = replace(case, label={**case.label, "confidentiality": code, "restricted": True})
    if case.label.get("patient_reference"):
        return case
    label: dict[str, Any] = {
        "patient": submission.describe(who.patient),
        "patient_reference": f"Patient/{who.patient.get('id', '')}",
        "order": submission.concept_text(who.service_request.get("code", {})),
    }
    if match.restricted(who.patient) or match.restricted(who.service_request):
        label["restricted"] = True
    return replace(case, label={**label, **case.label})
