"""The services the gateway calls, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
from dxmesh.anonymization.v1 import anonymization_service_pb2 as anonymization_pb
from dxmesh.anonymization.v1.anonymization_service_pb2_grpc import AnonymizationServiceStub
from dxmesh.consent.v1.consent_service_pb2 import RecordConsentRequest
from dxmesh.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from dxmesh.imaging.v1 import imaging_service_pb2 as imaging_pb
from dxmesh.imaging.v1.imaging_service_pb2_grpc import ImagingServiceStub
from dxmesh.ingest.v1 import ingest_service_pb2 as ingest_pb
from dxmesh.ingest.v1.ingest_service_pb2_grpc import IngestServiceStub
from dxmesh.reporting.v1.reporting_service_pb2 import SignReportRequest, SignReportResponse
from dxmesh.reporting.v1.reporting_service_pb2_grpc import ReportingServiceStub
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.gateway.dicomweb import grouped
from services.gateway.settings import Settings
from services.kernel import fhir, rpc
from services.kernel.errors import MeshError, Precondition

HEALTH_S = 2.0
GROUPS_AT_ONCE = 16
"""Groups of small files under way to ingest from this process: each is up to 4 MiB, twice."""


class GrpcPeers:
    """Channels to the other services; they connect when first used."""

    def __init__(self, settings: Settings) -> None:
        self._call_s = settings.call_timeout_s
        self._upload_s = settings.upload_timeout_s
        addresses = {
            "ingest": settings.ingest_address,
            "anonymization": settings.anonymization_address,
            "reporting": settings.reporting_address,
            "consent": settings.consent_address,
            "imaging": settings.imaging_address,
            "labs": settings.labs_address,
            "nlp": settings.nlp_address,
        }
        self._channels = {
            name: rpc.connect(address, settings) for name, address in addresses.items() if address
        }
        self._ingest = IngestServiceStub(self._channels["ingest"])
        self._groups = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._store_files: Callable[..., Awaitable[ingest_pb.StoreFilesResponse]]
        self._store_files = self._channels["ingest"].unary_unary(  # takes what is encoded
            f"/{ingest_pb.DESCRIPTOR.services_by_name['IngestService'].full_name}/StoreFiles",
            response_deserializer=ingest_pb.StoreFilesResponse.FromString,
        )
        self._anonymization = AnonymizationServiceStub(self._channels["anonymization"])
        self._reporting = ReportingServiceStub(self._channels["reporting"])
        self._consent = ConsentServiceStub(self._channels["consent"])

    async def submit(self, tenant: str, content: bytes) -> ingest_pb.SubmitCaseResponse:
        """Hand a submission Bundle to ingest."""
        header = ingest_pb.ContentHeader(tenant=tenant, media_type=fhir.MEDIA_TYPE, label="Bundle")

        async def messages() -> AsyncIterator[ingest_pb.SubmitCaseRequest]:
            yield ingest_pb.SubmitCaseRequest(header=header)
            async for chunk in rpc.chunks(content):
                yield ingest_pb.SubmitCaseRequest(chunk=chunk)

        return await rpc.call(self._ingest.SubmitCase, messages(), timeout_s=self._upload_s)

    async def submit_results(
        self, tenant: str, media_type: str, content: bytes
    ) -> ingest_pb.SubmitResultsResponse:
        """Hand a file of results to ingest."""
        header = ingest_pb.ContentHeader(tenant=tenant, media_type=media_type, label="results")

        async def messages() -> AsyncIterator[ingest_pb.SubmitResultsRequest]:
            yield ingest_pb.SubmitResultsRequest(header=header)
            async for chunk in rpc.chunks(content):
                yield ingest_pb.SubmitResultsRequest(chunk=chunk)

        return await rpc.call(self._ingest.SubmitResults, messages(), timeout_s=self._upload_s)

    async def read_original(self, tenant: str, case_id: str) -> tuple[str, bytes]:
        """Return media type and bytes of what a case was made of, asked for piece by piece."""
        found = bytearray()
        while True:
            request = ingest_pb.ReadOriginalRequest(
                tenant=tenant, case_id=case_id, offset=len(found)
            )
            answer = await rpc.call(self._ingest.ReadOriginal, request, timeout_s=self._call_s)
            found += answer.chunk
            if not answer.chunk or len(found) >= answer.size_bytes:
                return answer.media_type, bytes(found)

    async def store(
        self,
        tenant: str,
        media_type: str,
        label: str,
        chunks: AsyncIterator[bytes],
        study: str = "",
    ) -> ingest_pb.StoreInstancesResponse:
        """Stream one DICOM file, ZIP archive or slide to ingest; holds one chunk at a time.

        Raises
        ------
        MeshError
            The peer's, or the one `chunks` raised: gRPC alone would hide it.
        """
        header = ingest_pb.ContentHeader(
            tenant=tenant, media_type=media_type, label=label, study_instance_uid=study
        )
        broken: list[MeshError] = []

        async def messages() -> AsyncIterator[ingest_pb.StoreInstancesRequest]:
            yield ingest_pb.StoreInstancesRequest(header=header)
            try:
                async for piece in chunks:
                    async for chunk in rpc.chunks(piece):
                        yield ingest_pb.StoreInstancesRequest(chunk=chunk)
            except MeshError as error:
                broken.append(error)
                raise

        try:
            return await rpc.call(self._ingest.StoreInstances, messages(), timeout_s=self._upload_s)
        except (MeshError, asyncio.CancelledError):
            if broken:
                raise broken[0] from None
            raise

    async def store_files(
        self, tenant: str, files: Sequence[grouped.File]
    ) -> ingest_pb.StoreFilesResponse:
        """Hand several small DICOM files to ingest, each with its label; see the proto."""
        async with self._groups:
            encoded = grouped.encoded(tenant, files)
            return await rpc.call(self._store_files, encoded, timeout_s=self._upload_s)

    async def reidentify(self, tenant: str, case_id: str) -> anonymization_pb.ReidentifyResponse:
        """Ask anonymization for the identity behind a case."""
        request = anonymization_pb.ReidentifyRequest(tenant=tenant, case_id=case_id)
        return await rpc.call(self._anonymization.Reidentify, request, timeout_s=self._call_s)

    async def redact(self, tenant: str, case_id: str, text: str) -> str:
        """Return free text with identity removed."""
        if not text:
            return ""
        request = anonymization_pb.RedactTextRequest(tenant=tenant, case_id=case_id, text=text)
        answer = await rpc.call(self._anonymization.RedactText, request, timeout_s=self._call_s)
        return answer.text

    async def sign(self, request: SignReportRequest) -> SignReportResponse:
        """Put a signature under a report."""
        return await rpc.call(self._reporting.SignReport, request, timeout_s=self._call_s)

    async def record_consent(self, tenant: str, subject_key: str, content: bytes) -> str:
        """Record a Consent; return its version."""
        request = RecordConsentRequest(tenant=tenant, subject_key=subject_key, consent_json=content)
        answer = await rpc.call(self._consent.RecordConsent, request, timeout_s=self._call_s)
        return answer.consent_version

    async def models(self) -> imaging_pb.ListModelsResponse:
        """Return the models that read images."""
        request = imaging_pb.ListModelsRequest()
        stub = ImagingServiceStub(self._reached("imaging"))
        return await rpc.call(stub.ListModels, request, timeout_s=self._call_s)

    async def explain(self, tenant: str, case_id: str) -> imaging_pb.ExplainCaseResponse:
        """Return which reading took which series of a case, and why not."""
        request = imaging_pb.ExplainCaseRequest(tenant=tenant, case_id=case_id)
        stub = ImagingServiceStub(self._reached("imaging"))
        return await rpc.call(stub.ExplainCase, request, timeout_s=self._call_s)

    async def health(self) -> dict[str, str]:
        """Return each service's health: SERVING, NOT_SERVING or UNREACHABLE."""
        names = list(self._channels)
        states = await asyncio.gather(*(self._health(name) for name in names))
        return dict(zip(names, states, strict=True)) | {"gateway": "SERVING"}

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    def _reached(self, name: str) -> grpc.aio.Channel:
        if name not in self._channels:
            raise Precondition(
                f"the gateway does not know where {name} is (DX_{name.upper()}_ADDRESS)"
            )
        return self._channels[name]

    async def _health(self, name: str) -> str:
        stub: Any = health_pb2_grpc.HealthStub(self._channels[name])
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_S)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
