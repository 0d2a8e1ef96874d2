"""GET /ops/audit: who did what to which resource; for auditors alone."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.progress import to_instant
from services.gateway.store.audit import JournalRow
from services.kernel.errors import InvalidInput, Violation


async def audit_rows(call: Call) -> Response:
    """List interactions after `?after=` (an id), oldest first, 200 at most.

    One that showed several resources has one row for each, under the same id.
    """
    text = call.request.query_params.get("after", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        problem = Violation("http.after", "the id of a row")
        raise InvalidInput("after cannot be used", [problem], reason="BAD_REQUEST")
    rows = await call.store.audit.rows(call.tenant, after=int(text))
    return JSONResponse({"audit": [line for row in rows for line in _lines(row)]})


def _lines(row: JournalRow) -> list[dict[str, Any]]:
    """Return a line for the interaction, or one for each resource it showed."""
    entry = row.entry
    line = {
        "id": row.number,
        "time_us": entry.time_us,
        "time": to_instant(entry.time_us),
        "agent": entry.agent,
        "client": entry.client_id,
        "role": entry.role,
        "action": entry.interaction,
        "case_id": entry.case_id,
        "succeeded": entry.succeeded,
        "reason": entry.reason,
        "request_id": entry.request_id,
        "event": entry.id,
    }
    names = [*([entry.resource] if entry.resource or not entry.seen else []), *entry.seen]
    return [line | {"resource": name.partition("/_history/")[0]} for name in names]
