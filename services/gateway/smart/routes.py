"""The authorization server's own addresses: open to all, each with its own proof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.gateway.call import Gateway
from services.gateway.smart import authorize, configuration, lookup
from services.gateway.smart import token as tokens
from services.gateway.smart.answers import Handler, endpoint
from services.gateway.smart.asked import NotOurs
from services.gateway.smart.server import Server, make
from services.gateway.web import pages
from services.kernel import telemetry

Page = Callable[[Request, Server], Awaitable[Response]]
Refuse = Callable[[Request, Exception], Response]

DOCUMENTS: tuple[tuple[str, Handler], ...] = (
    ("/.well-known/smart-configuration", configuration.smart_configuration),
    ("/fhir/.well-known/smart-configuration", configuration.smart_configuration),
    ("/.well-known/openid-configuration", configuration.openid_configuration),
    ("/fhir/.well-known/openid-configuration", configuration.openid_configuration),
    ("/.well-known/oauth-authorization-server", configuration.openid_configuration),
    ("/smart/jwks", configuration.jwks),
    ("/smart/style.json", configuration.style),
)
FORMS: tuple[tuple[str, Handler], ...] = (
    ("/smart/token", tokens.token),
    ("/smart/introspect", lookup.introspect),
    ("/smart/revoke", lookup.revoke),
)
PAGES: tuple[tuple[str, str, Page], ...] = (
    ("/smart/authorize", "GET", authorize.authorize),
    ("/smart/authorize", "POST", authorize.authorize_post),
    (authorize.DECIDE, "POST", authorize.decide),
)


def routes(gateway: Gateway, refuse: Refuse) -> list[BaseRoute]:
    """Return the routes of a gateway; `refuse` answers what a page cannot."""
    server = make(gateway)
    found: list[BaseRoute] = []
    for method, table in (("GET", DOCUMENTS), ("POST", FORMS)):
        for path, handler in table:
            found.append(Route(path, endpoint(server, handler), methods=[method]))
    for path, method, page in PAGES:
        found.append(Route(path, _page(server, page, refuse), methods=[method]))
    return found


def _page(server: Server, page: Page, refuse: Refuse) -> Callable[[Request], Awaitable[Response]]:
    async def run(request: Request) -> Response:
        name = f"gateway {request.method} {request.url.path}"
        try:
            with telemetry.span(name, kind=SpanKind.SERVER, parent=dict(request.headers)):
                return await page(request, server)
        except NotOurs as error:
            t = pages.words(request)
            text = t(f"smart.error.{error.reason}")
            return pages.render(
                request, "error.html", status=400, text=text, reason=error.reason, code=400
            )
        except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
            return refuse(request, error)

    return run
