"""De-identifies cases: `case.received` in, `part.*` and `case.deidentified` out.

What is written lies under names made from the case id, and every event has an id, so a
repeat after a crash changes nothing. The intake is destroyed last: a redelivered case whose
intake is gone was finished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.case_received_pb2 import CaseReceived
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING, PART_KIND_LABS, PART_KIND_NLP
from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance, IntakeManifest
from google.protobuf.timestamp_pb2 import Timestamp

from services.anonymization import archive, files, local_codes, submission
from services.anonymization.denial import ConsentPeer, denied
from services.anonymization.disposition import InstanceSetAside
from services.anonymization.files import UnreadableInstance
from services.anonymization.identity import Identities, Identity
from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Hasher, Pseudonyms
from services.anonymization.work import (
    Work,
    forgotten,
    identity_of,
    identity_scope,
    intake_scopes,
    now,
    series_of,
)
from services.kernel import subjects, telemetry
from services.kernel.blobs import Blobs
from services.kernel.bus import EventBus
from services.kernel.errors import Damaged, KeyDestroyed, MeshError, NotFound, Unavailable

log = logging.getLogger(__name__)

STEP = "anonymization"
HasherFor = Callable[[str], Awaitable[Hasher]]
TOPICS = {
    PART_KIND_IMAGING: subjects.PART_IMAGING,
    PART_KIND_LABS: subjects.PART_LABS,
    PART_KIND_NLP: subjects.PART_NLP,
}


class _SeriesEmpty(Exception):
    """Every instance of a series was set aside; nothing is stored for it."""


class AnonymizationWorker:
    """Takes cases from the intake to the analysis zone."""

    def __init__(
        self,
        bus: EventBus,
        intake: Blobs,
        analysis: Blobs,
        store: Identities,
        consent: ConsentPeer,
        hasher_for: HasherFor,
        listed: Mapping[str, local_codes.Pairs] | None = None,
    ) -> None:
        self._bus = bus
        self._intake = intake
        self._analysis = analysis
        self._store = store
        self._consent = consent
        self._hasher_for = hasher_for
        self._listed = listed or {}

    async def start(self, concurrency: int) -> None:
        """Begin to take cases, and to hear of those that are stopped."""
        await self._bus.consume(
            subjects.CASE_RECEIVED, self.handle, concurrency=concurrency, on_dead=self.give_up
        )
        await self._bus.consume(subjects.CASE_STOPPED, self.stopped)
        await self._bus.consume(subjects.CONSENT_WITHDRAWN, self.withdrawn)

    async def handle(self, event: CaseReceived) -> None:
        """De-identify a case and announce its parts; a repeat changes nothing.

        Raises
        ------
        InvalidInput
            The submission cannot be read.
        Unavailable
            The consent service or a store is away.
        """
        started = now()
        tenant, case_id = event.case.tenant, event.case.case_id
        try:
            manifest = IntakeManifest.FromString(await self._intake.get(tenant, event.manifest))
        except KeyDestroyed:
            log.info("the intake of a case is gone: it was finished or stopped")
            return
        if await self._store.is_destroyed(tenant, case_id):
            await self._destroy_intake(event, manifest)
            return
        before = await self._kept(event)
        decision = await self._check(event, before or manifest)
        if not decision.permitted:
            refused = "late images are refused, their case goes on: %s"
            await self._end(event, denied(decision), refused)
            await self._destroy_intake(event, manifest)
            return
        try:
            work = await self._open(event, manifest, before)
            await self._images(work)
            if before is None:
                work.hear()
                await self._texts(work)
            await self._store.put(tenant, case_id, identity_of(work))
        except KeyDestroyed:
            log.info("a case was stopped while it was de-identified")
            await self._destroy_intake(event, manifest)
            return
        for part in work.parts:
            message_id = f"{case_id}/{part.part_id}"
            await self._bus.publish(TOPICS[part.kind], part, message_id=message_id)
        await self._announce(work, decision.consent_version, started)
        await self._destroy_intake(event, manifest)

    async def stopped(self, event: CaseStopped) -> None:
        """Destroy what is here of a stopped case: the way back, and the analysis copies."""
        tenant, case_id = event.case.tenant, event.case.case_id
        await self._store.destroy(tenant, case_id)
        await self._intake.destroy(tenant, identity_scope(case_id))
        await self._analysis.destroy(tenant, case_id)

    async def withdrawn(self, event: ConsentWithdrawn) -> None:
        """Have the analysis zone forget what it keeps of a patient across cases.

        Whatever was withdrawn: what is kept for a later case is a convenience, never the record.
        """
        pseudonyms = Pseudonyms(await self._hasher_for(event.tenant), event.subject_key)
        made = forgotten(event, pseudonyms.subject_pseudonym())
        message_id = f"{made.tenant}/{made.subject_pseudonym}/{event.consent_version}"
        await self._bus.publish(subjects.SUBJECT_FORGOTTEN, made, message_id=message_id)

    async def give_up(self, event: CaseReceived, error: MeshError) -> None:
        """Say that a case can never be de-identified, and why.

        Late images that cannot be are left out alone. They wait in the intake while the dead
        letter can be sent again; then ingest destroys them.
        """
        await self._end(event, error, "late images are given up, their case goes on: %s")

    async def _end(self, event: CaseReceived, error: MeshError, late: str) -> None:
        """Stop a case that cannot be de-identified, or may not; of late images they alone end.

        What the case had before was permitted when it was read: its report is out, or on its
        way. A withdrawal ends a case without a report, and that is the gateway's to say, which
        hears of it (ADR 0029); a consent that lapsed or was never for more ends none.
        """
        if event.supplement:
            log.warning(late, error.reason)
            telemetry.failure("anonymization.supplement", error.reason)
            return
        refusal = Refusal(reason=error.reason, message=error.message, facts=error.facts)
        stopped = CaseStopped(case=event.case, step=STEP, refusal=refusal)
        message_id = f"{event.case.case_id}/stopped/{STEP}"
        await self._bus.publish(subjects.CASE_STOPPED, stopped, message_id=message_id)

    async def _kept(self, event: CaseReceived) -> Identity | None:
        """Return what is kept of the case that a supplement belongs to; None for a first part.

        Raises
        ------
        Unavailable
            The case itself is still being de-identified.
        """
        if not event.supplement:
            return None
        try:
            return await self._store.get(event.case.tenant, event.case.case_id)
        except NotFound as error:
            raise Unavailable("late images wait until their case is de-identified") from error

    async def _check(
        self, event: CaseReceived, manifest: IntakeManifest | Identity
    ) -> CheckConsentResponse:
        return await self._consent.check(
            CheckConsentRequest(
                tenant=event.case.tenant,
                subject_key=event.subject_key,
                purpose=manifest.purpose,
                recipient=manifest.recipient,
                case_id=event.case.case_id,
                step=STEP,
            )
        )

    async def _open(
        self, event: CaseReceived, manifest: IntakeManifest, before: Identity | None
    ) -> Work:
        if before:
            read = await asyncio.to_thread(submission.of_identity, before)
        else:
            content = await self._intake.get(event.case.tenant, manifest.bundle)
            read = await asyncio.to_thread(submission.read, content)
        pseudonyms = Pseudonyms(await self._hasher_for(event.case.tenant), event.subject_key)
        made = Deidentifier(pseudonyms, read.known)
        return Work(event, manifest, read, pseudonyms, made, before=before)

    async def _images(self, work: Work) -> None:
        """Write one archive per series; studies become parts."""
        for number, study in enumerate(work.manifest.studies, 1):
            imaged = work.imaged(number, study.study_instance_uid)
            written = False
            for position, (uid, series) in enumerate(series_of(study).items(), 1):
                name = f"{imaged['part']}/series-{position}.zip"
                earlier = imaged["series"].get(uid, "")
                content = archive.stored(self._instances(work, series, earlier))
                try:
                    ref = await self._analysis.put_stream(work.tenant, work.case_id, name, content)
                except _SeriesEmpty:
                    continue
                imaged["series"][uid] = ref.SerializeToString(deterministic=True).hex()
                written = True
            if written:
                work.studies[study.study_instance_uid] = imaged
                blobs = [BlobRef.FromString(bytes.fromhex(r)) for r in imaged["series"].values()]
                work.add_part(imaged["part"], PART_KIND_IMAGING, blobs)

    async def _instances(
        self, work: Work, series: list[IntakeInstance], earlier: str
    ) -> AsyncIterator[bytes]:
        """Yield what analysis has of a series already, then what is new of it."""
        kept, known = 0, set[str]()
        if earlier:
            ref = BlobRef.FromString(bytes.fromhex(earlier))
            packed = await self._analysis.get(work.tenant, ref)
            for content in archive.unpacked(packed):
                known.add(await asyncio.to_thread(files.sop_uid, content))
                yield content
        for instance in series:
            if work.pseudonyms.uid(instance.sop_instance_uid) in known:
                kept += 1  # written before a crash
                continue
            try:
                content = await self._intake.get(work.tenant, instance.blob)
                made = await asyncio.to_thread(work.deidentifier.instance, content)
            except (InstanceSetAside, UnreadableInstance, NotFound, Damaged, KeyDestroyed) as error:
                work.leave_out(PART_KIND_IMAGING, error)
                continue
            kept += 1
            yield made
        if not kept:
            raise _SeriesEmpty

    async def _texts(self, work: Work) -> None:
        """Write the documents for labs and notes; images have told who else is named."""
        read, pseudonyms = work.submission, work.pseudonyms
        known = work.known()
        day = work.event.case.received_time.ToDatetime().date().isoformat()
        person = submission.subject(read, day)
        for error in read.unusable:
            work.leave_out(PART_KIND_NLP, error)
        codes = self._listed.get(work.tenant, local_codes.NONE)
        labs = await asyncio.to_thread(submission.labs_part, read, known, pseudonyms, person, codes)
        notes = await asyncio.to_thread(submission.notes_part, read, known, pseudonyms, person)
        written = (("labs-1", PART_KIND_LABS, labs), ("nlp-1", PART_KIND_NLP, notes))
        for part_id, kind, (document, references) in written:
            if not document:
                continue
            name = f"{part_id}/part.json"
            ref = await self._analysis.put(work.tenant, work.case_id, name, document)
            work.references |= references
            work.add_part(part_id, kind, [ref])

    async def _announce(self, work: Work, consent_version: str, started: Timestamp) -> None:
        event = CaseDeidentified(
            case=work.event.case,
            subject_pseudonym=work.pseudonyms.subject_pseudonym(),
            parts=work.expected(),
            set_aside=work.left_out(),
            started_time=started,
            finished_time=now(),
            consent_version=consent_version,
            supplement=work.event.supplement,
        )
        number = f"/{event.supplement}" if event.supplement else ""
        message_id = f"{work.case_id}/deidentified{number}"
        await self._bus.publish(subjects.CASE_DEIDENTIFIED, event, message_id=message_id)

    async def _destroy_intake(self, event: CaseReceived, manifest: IntakeManifest) -> None:
        """Destroy the keys of everything received; the manifest's last, as it names the rest."""
        for scope in intake_scopes(event, manifest):
            await self._intake.destroy(event.case.tenant, scope)
