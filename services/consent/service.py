"""ConsentService: records consents and withdrawals, decides, and remembers every decision."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from dxmesh.consent.v1 import consent_service_pb2 as pb
from dxmesh.consent.v1 import consent_service_pb2_grpc as rpc_pb
from dxmesh.event.v1.consent_withdrawn_pb2 import ConsentWithdrawn

from services.consent.policy import ConsentVersion, active, decide, permissions
from services.consent.provisions import PURPOSES, Question, Resource
from services.consent.store import ConsentStore, Draft, Recorded
from services.kernel import fhir, subjects
from services.kernel.bus import EventBus
from services.kernel.crypto import KeyedHash, checked
from services.kernel.errors import InvalidInput, TooLarge, Violation

CONTENT_BYTES_MAX = 256 << 10
SUBJECT_KEY_MAX = 128
FIELD_MAX = {"recipient": 256, "case_id": 64, "step": 32}
PAGE_DEFAULT, PAGE_MAX = 100, 500
STANDING = "withdrawal"
"""Consent key of a withdrawal by a subject who has no active consent here."""

HasherFor = Callable[[str], Awaitable[KeyedHash]]


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class ConsentService(rpc_pb.ConsentServiceServicer):
    """Answers ingest and anonymization; see the proto for each call."""

    def __init__(
        self,
        store: ConsentStore,
        bus: EventBus,
        hasher_for: HasherFor,
        zone: tzinfo,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._bus = bus
        self._hasher_for = hasher_for
        self._zone = zone
        self._now = now

    async def RecordConsent(
        self, request: pb.RecordConsentRequest, context: object
    ) -> pb.RecordConsentResponse:
        """Store a Consent as a new version, unless the same content is there already."""
        tenant, subject = _subject(request)
        resource = await asyncio.to_thread(_read, request.consent_json)
        key, identified = _consent_key(await self._hasher_for(tenant), subject, resource)
        versions = await self._store.versions(tenant, subject)
        now = self._now()
        number = max((v.number for v in versions if v.key == key), default=0) + 1
        version = ConsentVersion(key, number, now, resource)
        # An ended consent that names no consent may be any of them: it ends them all.
        ends_all = bool(version.ended) and not identified
        version = ConsentVersion(key, number, now, resource, ends_all)
        before = permissions(versions, now, self._zone)
        lost = before - permissions([*versions, version], now, self._zone)
        digest = await self._content_hash(tenant, resource)
        draft = Draft(key, digest, now, resource, ends_all, to_announce=bool(lost))
        if found := await self._store.find(tenant, subject, draft):
            return pb.RecordConsentResponse(consent_version=found, created=False)
        (recorded,) = await self._store.add(tenant, subject, [draft])
        await self.announce()
        return pb.RecordConsentResponse(consent_version=recorded, created=True)

    async def CheckConsent(
        self, request: pb.CheckConsentRequest, context: object
    ) -> pb.CheckConsentResponse:
        """Decide, and record the decision with the version it rests on."""
        tenant, subject = _subject(request)
        _check_question(request)
        question = Question(request.purpose, request.recipient, self._now())
        decision = decide(await self._store.versions(tenant, subject), question, self._zone)
        recorded = Recorded(
            str(uuid.uuid4()),
            request.case_id,
            request.step,
            request.purpose,
            decision,
            question.at,
        )
        await self._store.record_decision(tenant, subject, question, recorded)
        return pb.CheckConsentResponse(
            permitted=decision.permitted,
            reason=decision.reason,
            consent_version=decision.version,
            decision_id=recorded.decision_id,
        )

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, context: object
    ) -> pb.WithdrawConsentResponse:
        """End every consent given until now, those not seen here yet included."""
        tenant, subject = _subject(request)
        now = self._now()
        standing = active(await self._store.versions(tenant, subject), self._zone)
        drafts = [self._withdrawal(v.key, v.resource, now) for v in standing]
        drafts = drafts or [self._withdrawal(STANDING, {"resourceType": "Consent"}, now)]
        versions = await self._store.add(tenant, subject, drafts)
        await self.announce()
        return pb.WithdrawConsentResponse(consent_versions=versions)

    async def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: object
    ) -> pb.ListDecisionsResponse:
        """List decisions of a tenant, newest first."""
        limit = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)
        if limit < 1:
            raise InvalidInput("page_size is negative", [Violation("page_size", "0 to 500")])
        found = await self._store.decisions(
            checked(request.tenant), request.subject_key, request.case_id, limit
        )
        return pb.ListDecisionsResponse(decisions=[_decision(each) for each in found])

    async def announce(self) -> None:
        """Publish withdrawals that the bus has not confirmed; each under its own id."""
        for withdrawal in await self._store.unannounced():
            version = f"{withdrawal.consent_key}/{withdrawal.number}"
            event = ConsentWithdrawn(
                tenant=withdrawal.tenant,
                subject_key=withdrawal.subject_key,
                consent_version=version,
            )
            event.recorded_time.FromDatetime(withdrawal.recorded_at)
            message_id = f"{withdrawal.tenant}/{withdrawal.subject_key}/{version}"
            await self._bus.publish(subjects.CONSENT_WITHDRAWN, event, message_id=message_id)
            await self._store.announced(withdrawal)

    async def keep_announcing(self, pause_s: float) -> None:
        """Announce what a crash or an absent bus left over, for as long as the process runs."""
        while True:
            await self.announce()
            await asyncio.sleep(pause_s)

    def _withdrawal(self, key: str, resource: Resource, now: datetime) -> Draft:
        ended = {**resource, "status": "inactive"}
        # Never the same content twice: a second withdrawal is a fact of its own.
        return Draft(key, f"withdrawal-{uuid.uuid4().hex}", now, ended, True, True)

    async def _content_hash(self, tenant: str, resource: Resource) -> str:
        """Return the same hash for the same statement, whatever its layout and metadata."""
        said = {name: value for name, value in resource.items() if name not in ("meta", "text")}
        return (await self._hasher_for(tenant))("consent-content", _canonical(said))


def _subject(request: Any) -> tuple[str, str]:
    subject_key: str = request.subject_key
    if not 0 < len(subject_key) <= SUBJECT_KEY_MAX:
        problem = Violation("subject_key", f"1 to {SUBJECT_KEY_MAX} characters")
        raise InvalidInput("the subject key is missing or too long", [problem])
    return checked(request.tenant), subject_key


def _check_question(request: pb.CheckConsentRequest) -> None:
    if request.purpose not in PURPOSES:
        raise InvalidInput(
            "the purpose is not one that is decided",
            [Violation("purpose", f"one of {', '.join(PURPOSES)}")],
            reason="UNKNOWN_PURPOSE",
        )
    violations = [
        Violation(name, f"at most {limit} printable characters")
        for name, limit in FIELD_MAX.items()
        if len(getattr(request, name)) > limit or not getattr(request, name).isprintable()
    ]
    if violations:
        raise InvalidInput("a field cannot be recorded", violations)


def _read(content: bytes) -> Resource:
    if len(content) > CONTENT_BYTES_MAX:
        raise TooLarge(f"a Consent is at most {CONTENT_BYTES_MAX} bytes")
    resource = fhir.parse(content)
    if not isinstance(resource, dict) or resource.get("resourceType") != "Consent":
        raise InvalidInput(
            "not a Consent", [Violation("resourceType", "must be Consent")], reason="NOT_A_CONSENT"
        )
    if violations := fhir.problems(resource):
        raise InvalidInput("the Consent does not conform to R4", violations)
    return resource


def _consent_key(hasher: KeyedHash, subject: str, resource: Resource) -> tuple[str, bool]:
    """Return the key of a consent, and whether the resource names which consent it is."""
    for identifier in resource.get("identifier") or []:
        if value := identifier.get("value"):
            return hasher("consent", subject, identifier.get("system", ""), value)[:32], True
    if resource_id := resource.get("id"):
        return hasher("consent", subject, "id", resource_id)[:32], True
    return hasher("consent", subject, "content", _canonical(resource))[:32], False


def _canonical(value: object) -> str:
    """Return JSON that does not depend on the order of keys."""
    return fhir.dump(_sorted(value)).decode()


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return (
        [_sorted(item) for item in value]
        if isinstance(value, Sequence) and not isinstance(value, str)
        else value
    )


def _decision(recorded: Recorded) -> pb.Decision:
    message = pb.Decision(
        decision_id=recorded.decision_id,
        case_id=recorded.case_id,
        step=recorded.step,
        purpose=recorded.purpose,
        permitted=recorded.decision.permitted,
        reason=recorded.decision.reason,
        consent_version=recorded.decision.version,
    )
    message.decided_time.FromDatetime(recorded.decided_at)
    return message
