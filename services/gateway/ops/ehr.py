"""GET /ops/ehr, POST /ops/ehr/{id}/retry: signed reports on their way to an EHR."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.progress import to_instant
from services.gateway.store.ehr_writes import FAILED, WAITING, Write


async def list_writes(call: Call) -> Response:
    """List reports that wait or were given up; nothing in it names the patient."""
    found = await call.store.ehr_writes.listed(call.tenant, (WAITING, FAILED))
    return JSONResponse({"writes": [summary(write) for write in found]})


async def retry_write(call: Call) -> Response:
    """Have one tried again, now."""
    case_id = call.path("id")
    await call.store.ehr_writes.ask(call.tenant, case_id)
    await call.audit("ehr-write", f"Task/{case_id}", case_id=case_id)
    return JSONResponse({"case_id": case_id, "state": WAITING})


def summary(write: Write) -> dict[str, Any]:
    """Return how far a report is."""
    return {
        "case_id": write.case_id,
        "ehr": write.ehr,
        "state": write.state,
        "reason": write.reason,
        "attempts": write.attempts,
        "since": to_instant(write.since_us) if write.since_us else None,
        "next": to_instant(write.next_us) if write.state == WAITING else None,
    }
