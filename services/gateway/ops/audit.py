"""GET /ops/audit: who did what to which resource; for auditors alone."""

from __future__ import annotations

from dataclasses import asdict

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.progress import to_instant
from services.kernel.errors import InvalidInput, Violation


async def audit_rows(call: Call) -> Response:
    """List rows after `?after=` (an id), oldest first, 200 at most."""
    text = call.request.query_params.get("after", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        problem = Violation("http.after", "the id of a row")
        raise InvalidInput("after cannot be used", [problem], reason="BAD_REQUEST")
    rows = await call.store.audit.rows(call.tenant, after=int(text))
    found = [asdict(row) | {"time": to_instant(row.time_us)} for row in rows]
    return JSONResponse({"audit": found})
