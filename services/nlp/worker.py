"""Reads the notes part of a case: `part.nlp` in, `finding.nlp` out."""

from __future__ import annotations

import asyncio
import logging

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_ZH, PART_KIND_NLP
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.bus import EventBus
from services.kernel.errors import InvalidInput, KeyDestroyed, MeshError
from services.nlp import notes, tables
from services.nlp.findings import findings

log = logging.getLogger(__name__)

RULES = "dxmesh-nlp-rules"
RULES_VERSION = "1.3.0"
"""Raise it when code or tables change what is found in a note."""


class NlpWorker:
    """Reads parts; knows nothing of who they are about."""

    def __init__(self, bus: EventBus, blobs: Blobs) -> None:
        self._bus = bus
        self._blobs = blobs
        self._digest = tables.digest()

    async def start(self, concurrency: int) -> None:
        """Begin to take parts."""
        await self._bus.consume(
            subjects.PART_NLP, self.handle, concurrency=concurrency, on_dead=self.give_up
        )

    async def handle(self, part: PartReady) -> None:
        """Store a part's findings and announce them; a repeat changes nothing.

        Raises
        ------
        InvalidInput
            The part is not one JSON document of the notes form.
        """
        tenant, started = part.case.tenant, _now()
        if len(part.blobs) != 1:
            raise InvalidInput("a notes part is one document", reason="NOT_A_NOTES_PART")
        source = part.blobs[0]
        language = "zh" if part.case.language == LANGUAGE_ZH else "en"
        try:
            content = await self._blobs.get(tenant, source)
            found = await asyncio.to_thread(_read, content, language)
            name = f"findings/{part.part_id}"
            ref = await self._blobs.put(
                tenant, part.case.case_id, name, found.SerializeToString(deterministic=True)
            )
        except KeyDestroyed:
            log.info("the case was stopped: its key is gone")
            return
        ready = self._ready(part, started)
        ready.outcome = OUTCOME_COMPLETED
        ready.findings.CopyFrom(ref)
        ready.models.append(self._rules(source))
        await self._publish(ready, "completed")

    async def give_up(self, part: PartReady, error: MeshError) -> None:
        """Tell the report that a part can never be read, and why."""
        ready = self._ready(part, _now())
        ready.outcome = OUTCOME_FAILED
        refusal = Refusal(reason=error.reason, message=error.message, facts=error.facts)
        ready.refusal.CopyFrom(refusal)
        await self._publish(ready, "failed")

    def _ready(self, part: PartReady, started: Timestamp) -> FindingReady:
        return FindingReady(
            case=part.case,
            part_id=part.part_id,
            kind=PART_KIND_NLP,
            started_time=started,
            finished_time=_now(),
        )

    def _rules(self, source: BlobRef) -> ModelUse:
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
        await self._bus.publish(subjects.FINDING_NLP, ready, message_id=message_id)


def _read(content: bytes, language: str) -> NoteFindings:
    return findings(notes.read(content), language)


def _now() -> Timestamp:
    time = Timestamp()
    time.GetCurrentTime()
    return time
