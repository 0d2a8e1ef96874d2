"""GatewayService over gRPC: where cases stand, for the operator's other systems."""

from __future__ import annotations

from dxmesh.gateway.v1 import gateway_service_pb2 as pb
from dxmesh.gateway.v1 import gateway_service_pb2_grpc as rpc_pb

from services.gateway.call import Gateway
from services.gateway.ops.cases import LIMIT_DEFAULT, LIMIT_MAX, cancel
from services.gateway.progress import Case, case_ref
from services.kernel.crypto import checked
from services.kernel.errors import InvalidInput, Violation


class GatewayService(rpc_pb.GatewayServiceServicer):
    """Answers with what the store holds; see the proto for each call."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ListCases(
        self, request: pb.ListCasesRequest, context: object
    ) -> pb.ListCasesResponse:
        """List cases, newest first."""
        limit = request.page_size or LIMIT_DEFAULT
        if not 0 < limit <= LIMIT_MAX:
            problem = Violation("page_size", f"0 to {LIMIT_MAX}")
            raise InvalidInput("page_size cannot be used", [problem])
        tenant = checked(request.tenant)
        cases = await self._gateway.store.cases.latest(tenant, request.status, limit)
        return pb.ListCasesResponse(cases=[summary(case) for case in cases])

    async def CancelCase(
        self, request: pb.CancelCaseRequest, context: object
    ) -> pb.CancelCaseResponse:
        """Stop a case that has no report yet."""
        case = await cancel(self._gateway, checked(request.tenant), request.case_id)
        return pb.CancelCaseResponse(case=summary(case))


def summary(case: Case) -> pb.CaseSummary:
    """Return a case without identity."""
    message = pb.CaseSummary(case=case_ref(case), status=case.status, step=case.current_step)
    message.updated_time.FromMicroseconds(case.updated_us)
    return message
