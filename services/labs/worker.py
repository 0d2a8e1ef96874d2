"""Interprets the labs part of a case: `part.labs` in, `finding.labs` out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS
from dxmesh.event.v1.critical_found_pb2 import CriticalFound
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.refusal_pb2 import Refusal
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import subjects, telemetry
from services.kernel.blobs import Blobs
from services.kernel.bus import EventBus
from services.kernel.errors import (
    Conflict,
    Damaged,
    Forbidden,
    InvalidInput,
    KeyDestroyed,
    MeshError,
    NotFound,
)
from services.labs import announcing, critical, local_codes, panel, ranges, tables
from services.labs.findings import Interpreted, interpreted
from services.labs.history.document import Bounds
from services.labs.history.past import Past
from services.labs.interpret import DEFAULT_SITE, Site
from services.labs.rules import engine, heading
from services.labs.store import History, Page

log = logging.getLogger(__name__)

RULES = "dxmesh-labs-rules"
RULES_VERSION = "2.4.0"
"""Raise it when code or tables change what a result says."""


class LabsWorker:
    """Interprets parts; knows nothing of who they are about."""

    def __init__(
        self,
        bus: EventBus,
        blobs: Blobs,
        tenant_limits: Mapping[str, critical.Table] | None = None,
        tenant_rules: Mapping[str, engine.RuleSet] | None = None,
        history: History | None = None,
        tenant_sites: Mapping[str, Site] | None = None,
    ) -> None:
        self._bus = bus
        self._blobs = blobs
        self._tenant_limits = tenant_limits or {}
        self._tenant_rules = tenant_rules or {}
        self._history = history or History(blobs, Bounds(0, 0))
        self._tenant_sites = tenant_sites or {}
        self._rules = engine.default()
        self._digest = tables.digest()

    async def start(self, concurrency: int) -> None:
        """Begin to take parts."""
        await self._bus.consume(
            subjects.PART_LABS, self.handle, concurrency=concurrency, on_dead=self.give_up
        )
        await self._bus.consume(subjects.SUBJECT_FORGOTTEN, self._history.forget)

    async def handle(self, part: PartReady) -> None:
        """Store a part's findings and announce them; a repeat changes nothing.

        Raises
        ------
        InvalidInput
            The part is not one JSON document of the labs form.
        """
        tenant, started = part.case.tenant, _now()
        if len(part.blobs) != 1:
            raise InvalidInput("a labs part is one document", reason="NOT_A_LABS_PART")
        source = part.blobs[0]
        try:
            content = await self._blobs.get(tenant, source)
            page = await self._history.page(part)
            past = self._history.before(page, part)
            found = await asyncio.to_thread(self._interpret, tenant, content, past)
            ref = await self._store(part, found)
            await self._tell(announcing.event(part, found, ref, _now()))
            if newer := await self._kept(page, part, found):
                # Another case of the patient was read at the same time. What was told stays told:
                # more that is known of before could only hide it.
                past = self._history.before(newer, part, page)
                ref = await self._store(
                    part, await asyncio.to_thread(self._interpret, tenant, content, past)
                )
        except KeyDestroyed:
            log.info("the case was stopped: its key is gone")
            return
        ready = self._ready(part, started)
        ready.outcome = OUTCOME_COMPLETED
        ready.findings.CopyFrom(ref)
        ready.models.append(self._model(source))
        await self._publish(ready, "completed")

    async def give_up(self, part: PartReady, error: MeshError) -> None:
        """Tell the report that a part can never be interpreted, and why."""
        ready = self._ready(part, _now())
        ready.outcome = OUTCOME_FAILED
        refusal = Refusal(reason=error.reason, message=error.message, facts=error.facts)
        ready.refusal.CopyFrom(refusal)
        await self._publish(ready, "failed")

    async def _store(self, part: PartReady, found: Interpreted) -> BlobRef:
        """Store findings; others of the part, which may have been told of, stay as they are."""
        tenant, scope, name = part.case.tenant, part.case.case_id, f"findings/{part.part_id}"
        content = found.findings.SerializeToString(deterministic=True)
        try:
            return await self._blobs.put(tenant, scope, name, content, new=True)
        except Conflict:
            digest = hashlib.sha256(content).hexdigest()
            ref = BlobRef(scope=scope, name=name, size=len(content), sha256=digest)
        try:
            await self._blobs.get(tenant, ref)
            return ref
        except (Damaged, NotFound):
            return await self._blobs.put(tenant, scope, f"{name}-{digest[:16]}", content)

    async def _kept(self, page: Page | None, part: PartReady, found: Interpreted) -> Page | None:
        """Keep a part's results for later cases; what is damaged costs the report nothing."""
        try:
            keep = found.keep
            return await self._history.keep(page, part, keep.rows, keep.taken_back)
        except Damaged as error:
            log.error("results cannot be kept, the part goes on: %s", error.reason)
            telemetry.failure("labs.history", error.reason)
            return None

    async def _tell(self, event: CriticalFound) -> None:
        """Say what must be seen at once, before the report has the findings.

        A bus that refuses it must not cost the report its results: they say it too, later.
        """
        message_id = announcing.message_id(event)
        try:
            await self._bus.publish(subjects.FINDING_CRITICAL, event, message_id=message_id)
        except Forbidden as error:
            log.error("critical results cannot be told ahead of the report: %s", error.reason)
            telemetry.failure("labs.critical", error.reason)

    def _interpret(self, tenant: str, content: bytes, past: Past) -> Interpreted:
        limits = self._tenant_limits.get(tenant, critical.DEFAULTS)
        rules = self._tenant_rules.get(tenant, self._rules)
        site = self._tenant_sites.get(tenant, DEFAULT_SITE)
        # Times were moved into the past: what lies ahead of now lay further ahead when it came.
        now = datetime.now(UTC)
        return interpreted(panel.read(content), limits, rules, past, site=site, now=now)

    def _ready(self, part: PartReady, started: Timestamp) -> FindingReady:
        return FindingReady(
            case=part.case,
            part_id=part.part_id,
            kind=PART_KIND_LABS,
            started_time=started,
            finished_time=_now(),
        )

    def _model(self, source: BlobRef) -> ModelUse:
        return ModelUse(
            name=RULES,
            version=RULES_VERSION,
            model_sha256=self._digest,
            input_sha256=source.sha256,
            runtime="rules",
        )

    async def _publish(self, ready: FindingReady, ending: str) -> None:
        # The ending is in the id: a part retried after it was given up must not be dropped.
        message_id = f"{ready.case.case_id}/{ready.part_id}/{ending}"
        await self._bus.publish(subjects.FINDING_LABS, ready, message_id=message_id)


def read_limits(folder: Path | None) -> dict[str, critical.Table]:
    """Return each tenant's critical limits: its own rows, then the defaults.

    Raises
    ------
    InvalidInput
        A table has rows that cannot be used; the service must not start with half of it.
    """
    if folder is None:
        return {}
    return {
        path.stem: critical.before(critical.load(tables.parse(path.read_text("utf-8-sig"))))
        for path in sorted(folder.glob("*.tsv"))
    }


def read_sites(mappings: Path | None, own_ranges: Path | None) -> dict[str, Site]:
    """Return what tenants have of their own: codes and names, and reference ranges.

    Raises
    ------
    InvalidInput
        A table has rows that cannot be used; each is named.
    """
    codes, limits = (
        {path.stem: path for path in sorted(folder.glob("*.tsv"))} if folder else {}
        for folder in (mappings, own_ranges)
    )
    return {
        tenant: Site(
            local_codes.load(_rows(codes[tenant])) if tenant in codes else local_codes.NONE,
            ranges.load(_rows(limits[tenant])) if tenant in limits else None,
        )
        for tenant in codes.keys() | limits.keys()
    }


def _rows(path: Path) -> list[dict[str, str]]:
    return tables.parse(path.read_text("utf-8-sig"))


def read_rules(folder: Path | None) -> dict[str, engine.RuleSet]:
    """Return each tenant's rules: the built-in ones with its own thresholds.

    Raises
    ------
    InvalidInput
        A file names what does not exist, or is not TOML of topic, name and number.
    """
    if folder is None:
        return {}
    return {
        path.stem: engine.load(heading.thresholds(path.read_text("utf-8-sig"), path.name))
        for path in sorted(folder.glob("*.toml"))
    }


def _now() -> Timestamp:
    time = Timestamp()
    time.GetCurrentTime()
    return time
