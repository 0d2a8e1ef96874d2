"""A submission from its Bundle to an accepted case.

1. known already: the first case's answer. 2. consent: recorded, then asked. 3. Bundle and
manifest as blobs. 4. case, uploads and event in one transaction. 5. publish. Whatever stops
this between two steps, the sender's next try goes on to one case: before step 4 nothing
counts, after it everything does and the outbox publishes. A case whose images are still
arriving is accepted in step 4 without its event; `awaiting` goes on with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dxmesh.consent.v1.consent_service_pb2 import CheckConsentRequest, CheckConsentResponse
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_received_pb2 import CaseReceived, LeftOut
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest import corrections, gathering, order, submission
from services.ingest.bundle import NotASubmission
from services.ingest.gathering import Gathering
from services.ingest.limits import Defaults
from services.ingest.results import Results
from services.ingest.store.cases import Accepted, Claim, Draft, Outcome
from services.ingest.store.intake import AlreadyTaken
from services.ingest.store.originals import Original
from services.ingest.store.relay import Relay
from services.ingest.store.stores import Stores
from services.ingest.submission import Keys, Submission
from services.kernel import telemetry
from services.kernel.errors import (
    Forbidden,
    InvalidInput,
    MeshError,
    RemoteError,
    Unavailable,
    Violation,
)

STEP = "ingest"
TRIES = 8
DUE_TIME_MOVED = IntakeProblem(
    source="ServiceRequest.extension",
    reason="DUE_TIME_MOVED",
    message="the due time was too near or too far; the nearest possible one is used",
)
LEFT_OUT_MAX = 50
"""What an event tells of a message; it has to stay small."""
PROBLEMS_MAX = 500
"""Problems in an answer: it has to fit one message."""


class ConsentPeer(Protocol):
    """What is needed of the consent service."""

    async def record(self, tenant: str, subject_key: str, content: bytes) -> None:
        """Record a Consent."""

    async def check(self, request: CheckConsentRequest) -> CheckConsentResponse:
        """Return the decision."""


class ConsentDenied(Forbidden):
    """The subject's consent does not permit the purpose."""


class ControlIdReused(InvalidInput):
    """A message has the control id of an earlier one of its sender, and other content."""


class CaseWasStopped(InvalidInput):
    """What a message made was destroyed, so to answer it as before would promise what is not."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is written of a submission before its case counts."""

    bundle: BlobRef
    original: Original | None = None

    @property
    def scopes(self) -> list[str]:
        """The key scopes it lies under."""
        return [self.bundle.scope, *([self.original.blob.scope] if self.original else [])]


class Admission:
    """Admits submissions; two of the same at once make one case."""

    def __init__(
        self,
        stores: Stores,
        relay: Relay,
        consent: ConsentPeer,
        defaults: Defaults,
        now: Callable[[], datetime],
    ) -> None:
        self._intake = stores.intake
        self._gathering = Gathering(stores.intake, defaults)
        self._waiting = stores.waiting
        self._cases = stores.cases
        self._relay = relay
        self._consent = consent
        self._defaults = defaults
        self._now = now

    async def submit(
        self, tenant: str, content: bytes, results: Results | None = None
    ) -> SubmitCaseResponse:
        """Return the case a Bundle makes, or made before; `results`: what it was made of.

        Raises
        ------
        InvalidInput
            Every problem by its path; nothing is stored.
        ControlIdReused
        ConsentDenied
            CONSENT_<reason>; what was uploaded of its studies is destroyed.
        Unavailable
            Consent or a store is away; the same submission may be sent again.
        """
        read = await asyncio.to_thread(submission.read, content, self._defaults, results)
        hasher = await self._intake.blobs.vault.hasher(tenant)
        keys = submission.keys(read, hasher)
        with telemetry.case(keys.case_id), telemetry.step("ingest.submit"):
            if found := await self._cases.find(tenant, keys.all):
                return await self._again(tenant, read, keys, found)
            await self._record(tenant, read, keys)
            await self._check(tenant, read, keys)
            kept = await self._keep(tenant, keys, content, results)
            for _ in range(TRIES):
                outcome = await self._attempt(tenant, read, keys, kept)
                if isinstance(outcome, SubmitCaseResponse):
                    await self._relay.send(tenant, keys.case_id)
                    return outcome
                if outcome is Outcome.TAKEN:
                    break
            for scope in kept.scopes:
                await self._intake.destroy(tenant, scope)
            if found := await self._cases.find(tenant, keys.all):
                return await self._again(tenant, read, keys, found)
            raise Unavailable("the studies of a submission change while it is accepted")

    async def _again(
        self, tenant: str, read: Submission, keys: Keys, found: Accepted
    ) -> SubmitCaseResponse:
        """Return the first case's answer; Consents in another version of it still count."""
        if found.content_key != keys.content:
            if keys.message:
                raise ControlIdReused(
                    "an earlier message of this sender has this control id and other content; "
                    "send changed content under a new one"
                )
            await self._record(tenant, read, keys)
        if keys.message and found.is_stopped:
            raise CaseWasStopped(
                "the case of this message was stopped and nothing is kept of it; send it under a "
                "new control id"
            )
        await self._relay.send(tenant, found.case_id)
        found.answer.duplicate = True
        return found.answer

    async def _keep(self, tenant: str, keys: Keys, content: bytes, results: Results | None) -> Kept:
        """Write the Bundle, and what it was made of, each under a key of its own."""
        scope = await self._intake.uploads.open_submission(tenant, keys.case_id, self._now())
        bundle = await self._intake.blobs.put(tenant, scope, "bundle", content)
        if results is None:
            return Kept(bundle)
        scope = await self._intake.uploads.open_submission(tenant, keys.case_id, self._now())
        blob = await self._intake.blobs.put(tenant, scope, "original", results.original)
        digest = hashlib.sha256(results.original).hexdigest()
        return Kept(bundle, Original(blob, results.media_type, digest))

    async def _record(self, tenant: str, read: Submission, keys: Keys) -> None:
        for path, content in read.consents:
            try:
                await self._consent.record(tenant, keys.subject, content)
            except RemoteError as error:
                raise _by_path(error, path) from error

    async def _check(self, tenant: str, read: Submission, keys: Keys) -> None:
        decision = await self._consent.check(
            CheckConsentRequest(
                tenant=tenant,
                subject_key=keys.subject,
                purpose=read.purpose,
                recipient=self._defaults.recipient,
                case_id=keys.case_id,
                step=STEP,
            )
        )
        if decision.permitted:
            return
        for study in read.studies:
            await self._intake.discard_study(tenant, study.uid)
        raise ConsentDenied(
            "the consent does not permit this purpose; nothing is kept",
            reason=f"CONSENT_{decision.reason}",
        )

    async def _attempt(
        self, tenant: str, read: Submission, keys: Keys, kept: Kept
    ) -> SubmitCaseResponse | Outcome:
        """Try to accept with the uploads as they are now, or to wait for what is missing."""
        now, bundle = self._now(), kept.bundle
        case = _case(tenant, read, keys, now)
        due, moved = order.due(read.due, now, self._defaults)
        case.due_time.FromDatetime(due)
        problems = [*read.problems, *([DUE_TIME_MOVED] if moved else [])]
        try:
            found = await self._gathering.gather(tenant, read.studies, keys.case_id)
        except AlreadyTaken:
            return Outcome.TAKEN
        own = Claim(bundle.scope, 0)
        if missing := self._gathering.awaited(found, now, now, due):
            answer = _answer(case, keys, [*problems, *gathering.waits_for(missing)])
            event = CaseReceived(case=case, subject_key=keys.subject)
            studies = await self._gathering.keys(tenant, found)
            draft = Draft(answer, event, keys.content, keys.all, [own], _trace(), studies)
            outcome = await self._waiting.add(draft, bundle, now)
        else:
            source = gathering.Source(read, bundle, problems)
            manifest = await self._gathering.write(tenant, source, found)
            answer = _answer(case, keys, manifest.problems)
            event = CaseReceived(case=case, manifest=manifest.ref, subject_key=keys.subject)
            if kept.original:
                event.left_out.extend(_left_out(problems))
            claims = [own, *gathering.claims(found)]
            studies = await self._gathering.keys(tenant, found)
            trace, original = _trace(), kept.original
            hasher = await self._intake.blobs.vault.hasher(tenant)
            rows = corrections.rows(read.results, keys.case_id, keys.subject, hasher)
            draft = Draft(
                answer, event, keys.content, keys.all, claims, trace, studies, original, rows
            )
            outcome = await self._cases.accept(draft)
        return answer if outcome is Outcome.ACCEPTED else outcome


def _case(tenant: str, read: Submission, keys: Keys, accepted: datetime) -> CaseRef:
    case = CaseRef(
        tenant=tenant, case_id=keys.case_id, priority=read.priority, language=read.language
    )
    case.received_time.FromDatetime(accepted)
    return case


def _answer(case: CaseRef, keys: Keys, problems: Sequence[IntakeProblem]) -> SubmitCaseResponse:
    return SubmitCaseResponse(
        case=case,
        subject_key=keys.subject,
        problems=problems[:PROBLEMS_MAX],
        accepted_time=case.received_time,
    )


def _left_out(problems: Sequence[IntakeProblem]) -> list[LeftOut]:
    """Return what the case's Task says of a message: places and reasons, nothing of its content."""
    return [
        LeftOut(place=each.source, reason=each.reason, message=each.message)
        for each in problems[:LEFT_OUT_MAX]
    ]


def _trace() -> str:
    headers: dict[str, str] = {}
    telemetry.inject(headers)
    return headers.get("traceparent", "")


def _by_path(error: RemoteError, path: str) -> MeshError:
    """Return the consent service's refusal with paths of the Bundle."""
    found = [
        Violation(f"{path}{v.path.removeprefix('Consent')}", v.problem) for v in error.violations
    ]
    return NotASubmission(
        "a Consent is not taken; correct what is named",
        found or [Violation(path, error.message)],
        reason=error.reason,
    )
