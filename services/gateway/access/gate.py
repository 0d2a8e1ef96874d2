"""The gate every request passes: who is it, may they, and a typed answer when not."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.access.principal import Action, Principal, Role, require
from services.gateway.access.rights import NOTHING
from services.gateway.access.tokens import Tokens
from services.gateway.call import FORM_TYPE, Call, Gateway, form_of
from services.gateway.fhir import outcome
from services.gateway.store.people import Session
from services.kernel import telemetry
from services.kernel.errors import Forbidden, MeshError, Unauthenticated

log = logging.getLogger(__name__)

COOKIE = "dx_session"
CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
SAFE = frozenset({"GET", "HEAD"})
ANYBODY = Principal("", "", Role.AUDITOR, scopes=NOTHING)
"""Who asks at an open address: an account of no tenant that may see nothing."""

Handler = Callable[[Call], Awaitable[Response]]
Refuse = Callable[[Request, MeshError], Response]


@dataclass(frozen=True, slots=True)
class Entry:
    """One route: address, method, the right it needs, and what it means in FHIR."""

    path: str
    method: str
    action: Action
    handler: Handler
    interactions: tuple[tuple[str, str], ...] = ()
    """(resource type, FHIR interaction) pairs; "" is the system, "*" every type."""
    open: bool = False
    """Whether anybody is answered, without a credential."""


class Gate:
    """Turns an `Entry` into a Starlette endpoint."""

    def __init__(self, gateway: Gateway, refuse: Refuse) -> None:
        self._gateway = gateway
        self._refuse = refuse
        self._tokens = Tokens(gateway.store.smart, gateway.accounts)

    def endpoint(self, entry: Entry) -> Callable[[Request], Awaitable[Response]]:
        """Return the endpoint: authenticate, check the right, run, translate errors."""

        async def run(request: Request) -> Response:
            name = f"gateway {entry.method} {entry.path}"
            try:
                with telemetry.span(name, kind=SpanKind.SERVER, parent=dict(request.headers)):
                    if entry.open:
                        return await entry.handler(Call(request, self._gateway, ANYBODY))
                    principal, session = await self.authenticate(request)
                    request.state.tenant = principal.tenant
                    return await self.run(entry, Call(request, self._gateway, principal, session))
            except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
                return self._refuse(request, outcome.as_mesh_error(error))

        return run

    async def run(self, entry: Entry, call: Call) -> Response:
        """Check the right and run; what fails is in the audit trail before it is answered."""
        try:
            require(call.principal, entry.action)
            if call.session and call.request.method not in SAFE:
                await check_csrf(call.request, call.session)
            return await entry.handler(call)
        except Exception as error:
            if not call.audited:
                await audit_failure(entry, call, outcome.as_mesh_error(error))
            raise

    async def authenticate(self, request: Request) -> tuple[Principal, Session | None]:
        """Return who asks.

        Raises
        ------
        Unauthenticated
            No credential, or one that is not valid (any more).
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            return await self._bearer(scheme, token.strip()), None
        if cookie := request.cookies.get(COOKIE):
            session = await self._gateway.store.people.session(cookie)
            key = (session.tenant, session.reviewer) if session else ("", "")
            if session and (user := self._gateway.accounts.by_name.get(key)):
                return user, session
        raise Unauthenticated("a bearer token or a sign-in is needed")

    async def _bearer(self, scheme: str, token: str) -> Principal:
        """Return whose token this is: of the accounts file, or a SMART access token."""
        if scheme.lower() == "bearer":
            if account := self._gateway.accounts.client(token):
                return account
            if app := await self._tokens.principal(token):
                return app
        raise Unauthenticated("the bearer token is not known", reason="INVALID_TOKEN")


async def audit_failure(entry: Entry, call: Call, error: MeshError) -> None:
    """Write the audit entry of an interaction that was refused or failed.

    When it cannot be written the error is answered all the same: nothing was shown or changed.
    """
    path = call.request.path_params
    kind, resource_id = str(path.get("type", "")), str(path.get("id", ""))
    codes = [code for _, code in entry.interactions]
    interaction = codes[0] if codes else str(entry.action)
    query = trail.query_of(call.request)
    try:
        await call.audit(
            interaction,
            "/".join(part for part in (kind, resource_id) if part),
            query=query,
            outcome=error,
        )
    except Exception as problem:  # noqa: BLE001 - see above
        log.error("a failure is not in the audit trail: %s", telemetry.frames(problem))
        telemetry.failure("gateway.audit", type(problem).__name__)


async def check_csrf(request: Request, session: Session) -> None:
    """Let a change pass that our own page asked for.

    Raises
    ------
    Forbidden
        The session's token is not in the form or header: another site may be behind it.
    """
    given = request.headers.get(CSRF_HEADER, "")
    if not given and request.headers.get("content-type", "").startswith(FORM_TYPE):
        given = str((await form_of(request)).get(CSRF_FIELD, ""))
    if not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise Forbidden("the page is too old; load it again", reason="CSRF")
