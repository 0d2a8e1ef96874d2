"""The gateway's peers, queues and dead letters, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from dxmesh.anonymization.v1.anonymization_service_pb2 import ReidentifyResponse
from dxmesh.event.v1.case_ref_pb2 import PRIORITY_URGENT, CaseRef
from dxmesh.imaging.v1.imaging_service_pb2 import ExplainCaseResponse, ListModelsResponse
from dxmesh.ingest.v1.ingest_service_pb2 import (
    StoredInstance,
    StoreFilesRequest,
    StoreFilesResponse,
    StoreInstancesResponse,
    SubmitCaseResponse,
    SubmitResultsResponse,
)
from dxmesh.reporting.v1.reporting_service_pb2 import SignReportRequest, SignReportResponse

from services.gateway.dicomweb.grouped import encoded
from services.kernel.deadletters import DeadLetter
from services.kernel.errors import Conflict, MeshError, NotFound
from services.kernel.subjects import Topic


@dataclass
class FakePeers:
    """Ingest, anonymization, reporting and consent in memory; set `fails` to refuse."""

    fails: MeshError | None = None
    submitted: list[bytes] = field(default_factory=list)
    uploads: list[tuple[str, str, int]] = field(default_factory=list)
    signatures: list[SignReportRequest] = field(default_factory=list)
    consents: list[tuple[str, bytes]] = field(default_factory=list)
    identity: ReidentifyResponse = field(default_factory=ReidentifyResponse)
    identities: dict[str, ReidentifyResponse] = field(default_factory=dict)
    """Of single cases, in place of `identity`."""
    signed: dict[int, int] = field(default_factory=dict)
    """Version → when the signature under it was given, µs."""
    signed_at_us: int = 1_790_000_000_000_000
    largest_chunk: int = 0
    reads: ListModelsResponse = field(default_factory=ListModelsResponse)
    explained: dict[str, ExplainCaseResponse] = field(default_factory=dict)
    results: SubmitResultsResponse = field(default_factory=SubmitResultsResponse)
    """What files of results are answered with."""
    media_types: list[str] = field(default_factory=list)
    originals: dict[str, bytes] = field(default_factory=dict)

    async def submit(self, tenant: str, content: bytes) -> SubmitCaseResponse:
        if self.fails:
            raise self.fails
        duplicate = content in self.submitted
        self.submitted.append(content)
        digest = hashlib.sha256(content).hexdigest()
        ref = CaseRef(tenant=tenant, case_id=f"case-{digest[:12]}", priority=PRIORITY_URGENT)
        ref.received_time.FromMicroseconds(1_780_000_000_000_000)
        ref.due_time.FromMicroseconds(1_780_000_600_000_000)
        answer = SubmitCaseResponse(case=ref, duplicate=duplicate, subject_key="subject-1")
        answer.accepted_time.CopyFrom(ref.received_time)
        return answer

    async def submit_results(
        self, tenant: str, media_type: str, content: bytes
    ) -> SubmitResultsResponse:
        if self.fails:
            raise self.fails
        self.submitted.append(content)
        self.media_types.append(media_type)
        return self.results

    async def read_original(self, tenant: str, case_id: str) -> tuple[str, bytes]:
        if case_id not in self.originals:
            raise NotFound("no original is kept of this case", reason="NO_ORIGINAL")
        return "application/hl7-v2", self.originals[case_id]

    async def store(
        self,
        tenant: str,
        media_type: str,
        label: str,
        chunks: AsyncIterator[bytes],
        study: str = "",
    ) -> StoreInstancesResponse:
        content = bytearray()
        async for chunk in chunks:
            self.largest_chunk = max(self.largest_chunk, len(chunk))
            content += chunk
        if self.fails:
            raise self.fails
        self.uploads.append((media_type, label, len(content)))
        answer = StoreInstancesResponse()
        if content[:4] == b"GOOD":
            uid = f"1.2.{len(self.uploads)}"
            instance = StoredInstance(
                study_instance_uid="1.2.9",
                sop_class_uid="1.2.840",
                sop_instance_uid=uid,
                source=label,
            )
            answer.stored.append(instance)
        else:
            answer.problems.add(source=label, reason="NOT_DICOM", message="not a DICOM file")
        return answer

    async def store_files(
        self, tenant: str, files: Sequence[tuple[str, Sequence[bytes]]]
    ) -> StoreFilesResponse:
        async def whole(content: bytes) -> AsyncIterator[bytes]:
            yield content

        answer = StoreFilesResponse()
        for file in StoreFilesRequest.FromString(encoded(tenant, files)).files:
            each = await self.store(tenant, "application/dicom", file.label, whole(file.content))
            answer.stored.extend(each.stored)
            answer.problems.extend(each.problems)
        return answer

    async def reidentify(self, tenant: str, case_id: str) -> ReidentifyResponse:
        return self.identities.get(case_id, self.identity)

    async def redact(self, tenant: str, case_id: str, text: str) -> str:
        return text.replace("Zhang", "[NAME]")

    async def sign(self, request: SignReportRequest) -> SignReportResponse:
        if self.fails:
            raise self.fails
        amendment = bool(self.signatures)
        standing = self.signed.get(request.version, 0)
        amends = request.amends_time.ToMicroseconds()
        if request.request_id not in {s.request_id for s in self.signatures}:
            if standing != amends:
                raise Conflict("this version is signed")
            self.signed[request.version] = (
                self.signed_at_us + (len(self.signatures) + 1) * 1_000_000
            )
        if request.request_id not in {s.request_id for s in self.signatures}:
            self.signatures.append(request)
        answer = SignReportResponse(amendment=amendment)
        answer.signed_time.FromMicroseconds(self.signed_at_us + len(self.signatures) * 1_000_000)
        return answer

    async def record_consent(self, tenant: str, subject_key: str, content: bytes) -> str:
        if self.fails:
            raise self.fails
        self.consents.append((subject_key, content))
        return "consent/1"

    async def models(self) -> ListModelsResponse:
        return self.reads

    async def explain(self, tenant: str, case_id: str) -> ExplainCaseResponse:
        if case_id not in self.explained:
            raise NotFound("no imaging part of this case was decided yet, or it has none")
        return self.explained[case_id]

    async def health(self) -> dict[str, str]:
        return {"ingest": "SERVING", "labs": "UNREACHABLE"}


class FakeQueues:
    async def waiting(self, topic: Topic, service: str = "") -> int:
        return 3 if service == "labs" else 0


class FakeLetters:
    def __init__(self) -> None:
        self.retried: list[int] = []

    async def list(self, tenant: str) -> list[DeadLetter]:
        letter = DeadLetter(
            sequence=7,
            tenant=tenant,
            case_id="case-1",
            service="labs",
            subject="dx.v1.north.part.labs.stat",
            reason="NOT_A_LABS_PART",
            error="not one document",
            message_id="m",
            time="2026-11-24T00:00:00Z",
            event={},
        )
        return [letter]

    async def show(self, tenant: str, sequence: int) -> DeadLetter:
        for letter in await self.list(tenant):
            if letter.sequence == sequence:
                return letter
        raise NotFound("there is no such dead letter")

    async def retry(self, tenant: str, sequence: int) -> DeadLetter:
        self.retried.append(sequence)
        return await self.show(tenant, sequence)
