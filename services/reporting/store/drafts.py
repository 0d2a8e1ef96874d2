"""What a claimed version is composed from: its events and the blobs they name."""

from __future__ import annotations

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart
from dxmesh.event.v1.finding_ready_pb2 import FindingReady

from services.kernel.blobs import Blobs
from services.kernel.errors import Damaged, InvalidInput, NotFound
from services.reporting import assemble
from services.reporting.draft import Draft, Outcome, Part
from services.reporting.store.reports import ReportStore
from services.reporting.store.rows import Version


class Drafts:
    """Reads the events of a case and the findings they name."""

    def __init__(self, blobs: Blobs, store: ReportStore) -> None:
        self._blobs = blobs
        self._store = store

    async def read(
        self, tenant: str, case_id: str, version: Version
    ) -> tuple[CaseDeidentified, Draft]:
        """Return a version's draft and the event that listed its parts.

        Raises
        ------
        KeyDestroyed
            The case was stopped.
        Unavailable
            The blob store or the database is away.
        """
        source, events = await self._store.sources(tenant, case_id)
        parts = []
        superseded = {
            part.supersedes
            for part in source.parts
            if version.included.get(part.part_id) is Outcome.COMPLETED
        }
        for expected in source.parts:
            if expected.part_id in superseded:
                continue
            outcome = version.included.get(expected.part_id)
            event = events.get((expected.part_id, outcome)) if outcome else None
            parts.append(await self._part(tenant, expected, event))
        return source, assemble.draft(
            source, tuple(parts), version=version.number, composed=version.composed
        )

    async def _part(self, tenant: str, expected: ExpectedPart, event: FindingReady | None) -> Part:
        completed = event is not None and assemble.OUTCOMES[event.outcome] is Outcome.COMPLETED
        if event is None or not completed:
            return assemble.part(expected, event, None)
        try:
            content = await self._blobs.get(tenant, event.findings)
        except (NotFound, Damaged, InvalidInput):
            return assemble.failed(assemble.part(expected, event, None))
        return assemble.part(expected, event, content)
