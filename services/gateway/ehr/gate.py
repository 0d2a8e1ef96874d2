"""The gate of the pages an EHR shows: the launch's own cookie, and frames for its EHR alone.

A launch has an address of its own, `/ehr/<launch>/…`, and a cookie for that path. So two
patients open side by side never share a session, and the session is worth nothing outside:
it opens no other page, and a sign-in elsewhere opens none of these.

`SameSite=None; Secure; Partitioned`: inside another site's frame a browser keeps nothing
else (CHIPS). Every change needs the launch's token besides.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.access.gate import SAFE, Entry, audit_failure, check_csrf
from services.gateway.access.principal import Action, Principal, Role
from services.gateway.call import Call, Gateway
from services.gateway.ehr.client import EhrClient
from services.gateway.ehr.registry import Ehr
from services.gateway.fhir import outcome
from services.gateway.store.ehr import Launch
from services.gateway.store.people import Session
from services.gateway.web import pages
from services.kernel import telemetry
from services.kernel.errors import MeshError, NotFound, Unauthenticated

log = logging.getLogger(__name__)

SESSION_COOKIE = "__Secure-dx_ehr"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
LAUNCH_CHARS_MAX = 32
US = 1_000_000


@dataclass(frozen=True, slots=True)
class Visit:
    """One EHR's launch, as a handler is given it."""

    launch: Launch
    ehr: Ehr
    client: EhrClient

    @property
    def root(self) -> str:
        """Path under which the launch's pages are."""
        return root_of(self.launch.launch_id)


Handler = Callable[[Call, Visit], Awaitable[Response]]
OpenHandler = Callable[[Request, Gateway], Awaitable[Response]]


class EhrGate:
    """Turns handlers into Starlette endpoints."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def open(self, name: str, handler: OpenHandler) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that needs no session yet."""

        async def run(request: Request) -> Response:
            ehr = self._named(request)
            try:
                with telemetry.span(f"gateway {name}", kind=SpanKind.SERVER):
                    answer = await handler(request, self._gateway)
            except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
                answer = problem(request, outcome.as_mesh_error(error))
            return framed(answer, ehr)

        return run

    def endpoint(
        self, path: str, method: str, handler: Handler
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint of a launch: authenticate, check the token, run, translate errors."""
        entry = Entry(path, method, Action.REVIEW, _unused)

        async def run(request: Request) -> Response:
            launch_id = str(request.path_params["launch"])[:LAUNCH_CHARS_MAX]
            name = await self._gateway.store.ehr.ehr_of(launch_id)
            ehr = self._gateway.ehrs.registry.by_name.get(name)
            try:
                with telemetry.span(f"gateway {method} {path}", kind=SpanKind.SERVER):
                    call, visit = await self._authenticate(request, launch_id)
                    answer = await _run(entry, handler, call, visit)
            except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
                answer = problem(request, outcome.as_mesh_error(error), root_of(launch_id))
            return framed(answer, ehr)

        return run

    def _named(self, request: Request) -> Ehr | None:
        """Return the EHR that a launch or its answer names: it may show our answer."""
        registry = self._gateway.ehrs.registry
        name = request.path_params.get("ehr")
        if name is not None:
            return registry.by_name.get(str(name))
        return registry.of_issuer(request.query_params.get("iss", ""))

    async def _authenticate(self, request: Request, launch_id: str) -> tuple[Call, Visit]:
        """Return the call and the launch it belongs to.

        Raises
        ------
        Unauthenticated
            The cookie is not this launch's, the session ended, or the EHR or its user is no
            longer configured.
        """
        gateway, token = self._gateway, request.cookies.get(SESSION_COOKIE, "")
        launch = await gateway.store.ehr.session(launch_id, token) if token else None
        client = gateway.ehrs.clients.get(launch.ehr) if launch else None
        if launch is None or client is None or client.ehr.tenant != launch.tenant:
            raise Unauthenticated("open dxmesh again from the EHR", reason="EHR_SESSION_ENDED")
        principal = principal_of(gateway, client.ehr, launch)
        if principal is None:
            raise Unauthenticated(
                "this EHR user is not known here now", reason="EHR_USER_NOT_KNOWN"
            )
        session = Session(launch.tenant, launch.reviewer, launch.csrf)
        call = Call(request, gateway, principal, session)
        call.root = root_of(launch_id)
        call.proof = proof_of(gateway, launch, client.now_us())
        return call, Visit(launch, client.ehr, client)


def principal_of(gateway: Gateway, ehr: Ehr, launch: Launch) -> Principal | None:
    """Return the physician of a launch, as the accounts and the EHR file have it now."""
    user = launch.content["user"]
    if not user["provisioned"]:
        named = {ehr.users.get(mark) for mark in launch.content["marks"]}
        key = (launch.tenant, launch.reviewer)
        account = gateway.accounts.by_name.get(key) if launch.reviewer in named else None
        return account if account and account.role is Role.PHYSICIAN else None
    if not set(launch.content["marks"]) & set(ehr.allow):
        return None
    return Principal(
        launch.tenant, launch.reviewer, Role.PHYSICIAN, user["display"], user["practitioner"]
    )


def proof_of(gateway: Gateway, launch: Launch, now_us: int) -> str:
    """Return how a signature is confirmed: "password", "launch", or "none" when it is too late.

    Who has an account here proves it anew by its password. Who has none was proved by the EHR,
    and that is good for a short time.
    """
    if not launch.content["user"]["provisioned"]:
        return "password"
    fresh = now_us - launch.created_us <= gateway.settings.ehr_sign_s * US
    return "launch" if fresh else "none"


def root_of(launch_id: str) -> str:
    """Return the path under which a launch's pages are."""
    return f"/ehr/{launch_id}"


def problem(request: Request, error: MeshError, root: str = "") -> Response:
    """Return a page that says what went wrong, for a person in an EHR's frame."""
    status = outcome.http_status(error)
    return pages.render(
        request, "ehr_problem.html", status=status, reason=error.reason, code=status, root=root
    )


def framed(answer: Response, ehr: Ehr | None) -> Response:
    """Let the EHR's own origins show an answer in a frame, and nobody else."""
    ancestors = " ".join(ehr.frame_ancestors) if ehr and ehr.frame_ancestors else "'none'"
    if "content-security-policy" not in answer.headers:
        answer.headers["Content-Security-Policy"] = POLICY.format(ancestors=ancestors)
    return answer


def put_cookie(answer: Response, name: str, value: str, path: str, seconds: int) -> None:
    """Set a cookie that another site's frame keeps; `Partitioned` is newer than http.cookies."""
    answer.headers.append(
        "Set-Cookie",
        f"{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; Secure; SameSite=None; "
        "Partitioned",
    )


def digest(text: str) -> str:
    """Return a SHA-256, hex: what is kept of a secret that a browser shows again."""
    return hashlib.sha256(text.encode()).hexdigest()


async def _run(entry: Entry, handler: Handler, call: Call, visit: Visit) -> Response:
    """Check the token and run; what fails is in the audit trail before it is answered."""
    try:
        if call.request.method not in SAFE and call.session:
            await check_csrf(call.request, call.session)
        return await handler(call, visit)
    except Exception as error:
        if not call.audited:
            await audit_failure(entry, call, outcome.as_mesh_error(error))
        raise


async def _unused(call: Call) -> Response:
    raise NotFound("an entry of the EHR's gate has its handler elsewhere")
