"""ReportingService: where a report stands, and its signature."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified
from dxmesh.event.v1.feedback_given_pb2 import VERDICT_ADD, FeedbackGiven
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
    OUTCOME_UNSPECIFIED,
)
from dxmesh.event.v1.report_signed_pb2 import ReportSigned
from dxmesh.reporting.v1 import reporting_service_pb2 as pb
from dxmesh.reporting.v1 import reporting_service_pb2_grpc as rpc_pb

from services.kernel import subjects
from services.kernel.errors import Conflict, InvalidInput, MeshError, NotFound, Precondition
from services.reporting import join, signing
from services.reporting.draft import Outcome
from services.reporting.store import Outgoing, ReportStore, Sender, SignatureStore, Version

log = logging.getLogger(__name__)

_OUTCOMES = {
    Outcome.COMPLETED: OUTCOME_COMPLETED,
    Outcome.DECLINED: OUTCOME_DECLINED,
    Outcome.FAILED: OUTCOME_FAILED,
}


class ReportingService(rpc_pb.ReportingServiceServicer):
    """Answers the gateway."""

    def __init__(
        self,
        store: ReportStore,
        signatures: SignatureStore,
        sender: Sender,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._signatures = signatures
        self._sender = sender
        self._now = now

    async def GetReportState(
        self, request: pb.GetReportStateRequest, context: object
    ) -> pb.GetReportStateResponse:
        """Return versions and parts of a case.

        Raises
        ------
        NotFound
            No such case, or nothing of it has reached reporting.
        """
        state = await self._store.state(request.tenant, request.case_id)
        if state is None:
            raise NotFound("reporting knows no such case")
        versions = await self._store.versions(request.tenant, request.case_id)
        response = pb.GetReportStateResponse(
            version=_current(versions),
            signed_version=max((v.number for v in versions if v.signed), default=0),
        )
        for part_id in state.expected or ():
            ended = state.endings.get(part_id)
            outcome = _OUTCOMES[join.counted(ended)] if ended else OUTCOME_UNSPECIFIED
            response.parts.append(pb.PartState(part_id=part_id, outcome=outcome))
        return response

    async def SignReport(
        self, request: pb.SignReportRequest, context: object
    ) -> pb.SignReportResponse:
        """Record verdicts and a signature; the same request again gets the same answer.

        Raises
        ------
        NotFound, Precondition, signing.ReportMovedOn, signing.ReportLocked,
        signing.NotReviewed
        """
        if not request.signer or not request.request_id:
            raise InvalidInput("a signature needs a signer and a request id")
        state = await self._store.state(request.tenant, request.case_id)
        if state is None:
            raise NotFound("reporting knows no such case")
        if state.stopped:
            raise Precondition("the case was stopped", reason="CASE_STOPPED")
        versions = await self._store.versions(request.tenant, request.case_id)
        repeated = _repeated(request, versions)
        if repeated:
            return _response(repeated)
        signing.check_version(request.version, _current(versions))
        version = versions[request.version - 1]
        amends = request.amends_time.ToDatetime(UTC) if request.HasField("amends_time") else None
        if version.signed != amends:
            raise signing.ReportLocked("this version is signed", version=version.number)
        signing.check_verdicts(request.verdicts, version.findings)
        signing.check_added(request.added)
        return await self._sign(request, versions, version)

    async def _sign(
        self, request: pb.SignReportRequest, versions: list[Version], version: Version
    ) -> pb.SignReportResponse:
        source, _ = await self._store.sources(request.tenant, request.case_id)
        signed = self._now()
        amendment = any(each.signed for each in versions)
        done = await self._signatures.sign(
            request.tenant,
            request.case_id,
            version.number,
            signer=request.signer,
            request_id=request.request_id,
            signed=signed,
            amends=version.signed,
            amendment=amendment,
            announcements=_announcements(request, source, version, signed, amendment=amendment),
        )
        if not done:  # another request signed it between our look and our write
            again = await self._store.versions(request.tenant, request.case_id)
            if repeated := _repeated(request, again):
                return _response(repeated)
            raise signing.ReportLocked("this version is signed", version=version.number)
        try:
            await self._sender.send(request.tenant, request.case_id)
        except MeshError as error:  # it is signed; the outbox keeps the news
            log.warning("a signature waits for the bus: %s", error.reason)
        response = pb.SignReportResponse(amendment=amendment)
        response.signed_time.FromDatetime(signed)
        return response


def _current(versions: list[Version]) -> int:
    """Return the latest version that is composed; 0: none."""
    return max((version.number for version in versions if version.done), default=0)


def _repeated(request: pb.SignReportRequest, versions: list[Version]) -> Version | None:
    """Return the version that this request signed before."""
    for version in versions:
        if version.signed and version.request_id == request.request_id:
            if version.number != request.version:
                raise Conflict("this request id signed another version", version=version.number)
            return version
    return None


def _response(version: Version) -> pb.SignReportResponse:
    response = pb.SignReportResponse(amendment=version.amendment)
    if version.signed:
        response.signed_time.FromDatetime(version.signed)
    return response


def _announcements(
    request: pb.SignReportRequest,
    source: CaseDeidentified,
    version: Version,
    signed: datetime,
    *,
    amendment: bool,
) -> list[Outgoing]:
    """Return the signature and one piece of feedback per verdict.

    The model is the one that composed the finding, whatever the request says.
    """
    case = source.case
    news = ReportSigned(
        case=case, version=version.number, signer=request.signer, amendment=amendment
    )
    news.signed_time.FromDatetime(signed)
    prefix = f"{case.case_id}/{version.number}"
    if version.signed:  # its own events: those of the signature it amends are out already
        prefix += f"/{request.request_id}"
    out = [Outgoing(f"{prefix}/signed", subjects.REPORT_SIGNED.name, news.SerializeToString())]
    for verdict in request.verdicts:
        name, model_version = version.findings[verdict.finding_id]
        given = FeedbackGiven(
            case=case,
            version=version.number,
            finding_id=verdict.finding_id,
            verdict=verdict.verdict,
            correction=verdict.correction,
            comment=verdict.comment,
            model_name=name,
            model_version=model_version,
        )
        if verdict.HasField("marking"):
            given.marking.CopyFrom(verdict.marking)
        out.append(_feedback(prefix, given, signed))
    for added in request.added:
        given = FeedbackGiven(
            case=case,
            version=version.number,
            finding_id=added.added_id,
            verdict=VERDICT_ADD,
            correction=added.text,
            marking=added.marking,
            kind=added.kind,
        )
        out.append(_feedback(prefix, given, signed))
    return out


def _feedback(prefix: str, given: FeedbackGiven, signed: datetime) -> Outgoing:
    given.given_time.FromDatetime(signed)
    message_id = f"{prefix}/feedback/{given.finding_id}"
    return Outgoing(message_id, subjects.FEEDBACK_GIVEN.name, given.SerializeToString())
