"""GET /ops/cases, GET /ops/cases/{id}, POST /ops/cases/{id}/cancel."""

from __future__ import annotations

import time

from dxmesh.event.v1.case_stopped_pb2 import CaseStopped
from dxmesh.event.v1.refusal_pb2 import Refusal
from starlette.responses import JSONResponse, Response

from services.gateway.call import Call, Gateway
from services.gateway.ops.answers import case_detail, case_summary
from services.gateway.progress import ENDED, Case, case_ref, stop
from services.kernel import subjects
from services.kernel.errors import InvalidInput, Precondition, Violation

LIMIT_DEFAULT, LIMIT_MAX = 100, 500


async def list_cases(call: Call) -> Response:
    """List cases, newest first; `?status=` and `?limit=`."""
    text = call.request.query_params.get("limit", str(LIMIT_DEFAULT))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 0 < int(text) <= LIMIT_MAX:
        problem = Violation("http.limit", f"1 to {LIMIT_MAX}")
        raise InvalidInput("limit cannot be used", [problem], reason="BAD_REQUEST")
    status = call.request.query_params.get("status", "")
    cases = await call.store.cases.latest(call.tenant, status, int(text))
    now = time.time_ns() // 1000
    return JSONResponse({"cases": [case_summary(case, now) for case in cases]})


async def show_case(call: Call) -> Response:
    """Show one case with its steps."""
    case = await call.store.cases.get(call.tenant, call.path("id"))
    return JSONResponse(case_detail(case, time.time_ns() // 1000))


async def cancel_case(call: Call) -> Response:
    """Stop a case that has no report yet."""
    case = await cancel(call.gateway, call.tenant, call.path("id"))
    await call.audit("cancel", f"Task/{case.case_id}", case_id=case.case_id)
    return JSONResponse(case_detail(case, time.time_ns() // 1000))


async def cancel(gateway: Gateway, tenant: str, case_id: str) -> Case:
    """Announce that a case is stopped, then say so in its Task; a repeat is harmless.

    Raises
    ------
    NotFound
    Precondition
        It has a report already: that is part of the record.
    """
    case = await gateway.store.cases.get(tenant, case_id)
    if case.status == "cancelled":
        return case
    if case.status in ENDED:
        raise Precondition(f"the case is {case.status} already", reason="CASE_ENDED")
    refusal = Refusal(reason="CANCELLED", message="An operator cancelled the case.")
    await announce_stop(gateway, case, refusal)
    async with gateway.store.cases.change(tenant, case_id) as opened:
        opened.case = stop(opened.case, "cancelled", refusal.reason, refusal.message)
    return opened.case


async def announce_stop(gateway: Gateway, case: Case, refusal: Refusal) -> None:
    """Publish that a case is stopped; its keys are destroyed by those who hear it."""
    event = CaseStopped(case=case_ref(case), step="gateway", refusal=refusal)
    message_id = f"{case.case_id}/stopped/gateway"
    await gateway.bus.publish(subjects.CASE_STOPPED, event, message_id=message_id)
