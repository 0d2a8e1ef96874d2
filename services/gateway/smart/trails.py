"""Audit entries of what the authorization server does."""

from __future__ import annotations

from starlette.requests import Request

from services.gateway.access import trail
from services.gateway.access.principal import Principal, Role
from services.gateway.smart.server import Server
from services.gateway.store.smart_grants import Grant
from services.kernel.errors import Forbidden


async def record(
    request: Request, server: Server, grant: Grant, interaction: str, *, succeeded: bool = True
) -> None:
    """Write what a client did with a grant; it fails when it cannot be written."""
    account = server.gateway.accounts.by_name.get((grant.tenant, grant.account))
    role = account.role if account else Role.EHR
    name, practitioner = grant.account or grant.client_id, account.practitioner if account else ""
    who = Principal(grant.tenant, name, role, practitioner=practitioner, client_id=grant.client_id)
    await record_of(
        request, server, who, interaction, str(grant.content.get("patient", "")), succeeded
    )


async def record_of(
    request: Request,
    server: Server,
    who: Principal,
    interaction: str,
    patient: str = "",
    succeeded: bool = True,
) -> None:
    """Write what an account did with a client."""
    entry = trail.entry(
        request,
        who,
        interaction,
        f"Patient/{patient}" if patient else "",
        patient=f"Patient/{patient}" if patient else "",
        outcome=None if succeeded else Forbidden("refused", reason="ACCESS_DENIED"),
    )
    await server.gateway.store.audit.record(entry)
