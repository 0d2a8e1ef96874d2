"""The HTTP application: routes behind the gate, headers on every answer, errors as answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.access.gate import COOKIE, Gate
from services.gateway.call import Gateway
from services.gateway.ehr import routes as ehr
from services.gateway.fhir import outcome, transport
from services.gateway.hooks import handlers as hooks
from services.gateway.routes import ENTRIES
from services.gateway.smart import routes as smart
from services.gateway.table import Table
from services.gateway.web import pages, session
from services.kernel.errors import MeshError, Unauthenticated

STATIC = Path(__file__).parent / "web" / "static"
SITE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
API_PREFIXES = ("/fhir", "/dicom-web", "/ops", "/smart/launches", "/cds-services", "/healthz")


def make(gateway: Gateway) -> Starlette:
    """Return the application."""
    gate = Gate(gateway, refuse)
    routes: list[BaseRoute] = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/sign-in", _open(gateway, session.sign_in_page), methods=["GET"]),
        Route("/sign-in", _open(gateway, session.sign_in), methods=["POST"]),
        Route("/language", _open(gateway, session.set_language), methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
        *hooks.routes(gateway),
        *smart.routes(gateway, lambda r, error: refuse(r, outcome.as_mesh_error(error))),
        *ehr.routes(gateway),
    ]
    routes.append(Table([Route(e.path, gate.endpoint(e), methods=[e.method]) for e in ENTRIES]))

    async def unrouted(request: Request, error: Exception) -> Response:
        """Answer for an address that is not there, to those who may know."""
        try:
            await gate.authenticate(request)
        except MeshError as refusal:
            return refuse(request, refusal)
        answer = refuse(request, outcome.as_mesh_error(error))
        if isinstance(error, HTTPException):
            answer.headers.update(error.headers or {})  # Allow
        return answer

    app = Starlette(routes=routes, exception_handlers={404: unrouted, 405: unrouted})
    app.router.redirect_slashes = False
    app.add_middleware(Headers)
    allowed = transport.origins(gateway.settings.cors_origins)
    app.add_middleware(transport.Transport, allowed=allowed)
    app.state.cors = bool(allowed)
    app.state.interactions = [pair for entry in ENTRIES for pair in entry.interactions]
    app.state.fhir_routes = [
        (Route(e.path, gate.endpoint(e), methods=[e.method]), partial(gate.run, e))
        for e in ENTRIES
        if e.path.startswith("/fhir/")
    ]
    return app


async def healthz(request: Request) -> Response:
    """Say that the process serves; knows nothing of anybody."""
    return JSONResponse({"status": "ok"})


def refuse(request: Request, error: MeshError) -> Response:
    """Answer an error: an OperationOutcome, or a page where a person is looking."""
    if request.url.path.startswith(API_PREFIXES) or not _is_person(request):
        return outcome.respond(error)
    if isinstance(error, Unauthenticated):
        target = f"/sign-in?next={quote(request.url.path)}"
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": target})
        answer = RedirectResponse(target, 303)
        if COOKIE in request.cookies:
            answer.delete_cookie(COOKIE)
        return answer
    return pages.error_page(request, error, outcome.http_status(error))


def _is_person(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted or bool(request.headers.get("hx-request"))


def _open(
    gateway: Gateway, handler: Callable[[Request, Gateway], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that needs no credential; errors are answered all the same."""

    async def run(request: Request) -> Response:
        try:
            return await handler(request, gateway)
        except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
            return refuse(request, outcome.as_mesh_error(error))

    return run


class Headers:
    """Adds what browsers need to be told to every answer that does not say otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", SITE_POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                # Pages that an EHR may show name its origins; the older header cannot.
                if "frame-ancestors http" not in headers["Content-Security-Policy"]:
                    headers.setdefault("X-Frame-Options", "DENY")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
                if scope.get("scheme") == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        await self._app(scope, receive, add)
