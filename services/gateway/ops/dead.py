"""GET /ops/dead, GET /ops/dead/{sequence}, POST /ops/dead/{sequence}/retry."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.ops.answers import dead_letter
from services.kernel.errors import NotFound


async def list_dead(call: Call) -> Response:
    """List the tenant's dead letters, oldest first."""
    letters = await call.gateway.letters.list(call.tenant)
    return JSONResponse({"dead": [dead_letter(letter) for letter in letters]})


async def show_dead(call: Call) -> Response:
    """Show one dead letter."""
    return JSONResponse(dead_letter(await call.gateway.letters.show(call.tenant, _sequence(call))))


async def retry_dead(call: Call) -> Response:
    """Put a dead letter back on its subject."""
    letter = await call.gateway.letters.retry(call.tenant, _sequence(call))
    await call.audit("retry", f"dead/{letter.sequence}", case_id=letter.case_id)
    return JSONResponse(dead_letter(letter))


def _sequence(call: Call) -> int:
    text = call.path("sequence")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise NotFound("a dead letter is named by its number; `dxmesh dead list` shows them")
    return int(text)
