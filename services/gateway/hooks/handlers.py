"""CDS Hooks over HTTP: discovery is open, every other call bears a JWT of a configured client.

Each call leaves one audit entry, committed together with the use of its token and with the
cards, before the answer goes out; one that is refused after its client is known leaves its own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from opentelemetry import metrics
from opentelemetry.trace import SpanKind
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from services.gateway.access import trail
from services.gateway.access.principal import Principal, Role
from services.gateway.call import Gateway, base_url, body
from services.gateway.fhir import outcome
from services.gateway.fhir.outcome import UnsupportedMediaType
from services.gateway.hooks import feedback as given
from services.gateway.hooks import gather, token
from services.gateway.hooks import request as asked
from services.gateway.hooks.cards import Card, Frame
from services.gateway.hooks.clients import CdsClient, Clients
from services.gateway.hooks.clients import parse as parse_clients
from services.gateway.hooks.discovery import SERVICES, document
from services.gateway.hooks.keys import ClientKeys
from services.gateway.hooks.order_cards import order_cards
from services.gateway.hooks.patient_cards import patient_cards
from services.gateway.hooks.words import language_of
from services.gateway.store.audit import AuditEntry
from services.gateway.store.hooks import SentCard, UsedToken
from services.kernel import telemetry
from services.kernel.errors import MeshError, NotFound

BODY_BYTES_MAX = 2 << 20
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Location"}
"""Any page may ask: nothing here looks at cookies, and a JWT cannot be borrowed from a browser."""
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept-Language",
    "Access-Control-Max-Age": "86400",
}

_feedback_count = metrics.get_meter("dxmesh").create_counter(
    "dxmesh.cds.feedback", description="Feedback on CDS cards, by service, outcome and reason."
)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Caller:
    """A CDS client whose token was verified."""

    client: CdsClient
    used: UsedToken

    @property
    def principal(self) -> Principal:
        """Return who it is for the audit trail."""
        return Principal(
            self.client.tenant, self.client.iss[:128], Role.EHR, client_id=self.client.iss[:128]
        )


class CdsServices:
    """The endpoints, over one gateway."""

    def __init__(self, gateway: Gateway, clients: Clients) -> None:
        self._gateway = gateway
        self._clients = clients
        self._keys = ClientKeys(gateway.outbound)

    def routes(self) -> list[BaseRoute]:
        """Return every address."""
        found = {
            "/cds-services": ("GET", self._discover),
            "/cds-services/{id}": ("POST", self._answer),
            "/cds-services/{id}/feedback": ("POST", self._feedback),
        }
        routes: list[BaseRoute] = []
        for path, (method, handler) in found.items():
            routes.append(Route(path, _guarded(f"{method} {path}", handler), methods=[method]))
            routes.append(Route(path, _preflight, methods=["OPTIONS"]))
        return routes

    async def _discover(self, request: Request) -> Response:
        language = language_of(request.headers.get("accept-language", ""))
        return _json(document(language), language)

    async def _answer(self, request: Request) -> Response:
        service, caller = await self._authenticate(request)
        try:
            hook = asked.parse(await _content(request), SERVICES[service])
            language = language_of(request.headers.get("accept-language", ""))
            frame = Frame(language, base_url(request, self._gateway.settings))
            made = await self._cards(hook, caller.client, frame)
            entry = self._entry(request, caller, hook.hook, hook)
            sent = [SentCard(card.id, card.topic, card.case_id) for card in made]
            await self._gateway.store.hooks.answered(
                caller.client.tenant, caller.used, service, caller.client.iss, sent, [entry]
            )
        except Exception as error:
            await self._failed(request, caller, SERVICES[service], outcome.as_mesh_error(error))
            raise
        return _json({"cards": [card.content for card in made]}, language)

    async def _cards(self, hook: asked.HookRequest, client: CdsClient, frame: Frame) -> list[Card]:
        store, viewed = self._gateway.store, hook.hook == asked.PATIENT_VIEW
        people = await gather.patients(store, client, hook)
        cases = await gather.cases(store, client, people, hook.patient, with_orders=not viewed)
        if viewed:
            return patient_cards(frame, cases)
        return order_cards(frame, hook.orders, cases, hook.patient_id)

    async def _feedback(self, request: Request) -> Response:
        service, caller = await self._authenticate(request)
        try:
            entries = given.parse(await _content(request))
            audit = self._entry(request, caller, "cds-feedback")
            await self._gateway.store.hooks.feedback(
                caller.client.tenant, caller.used, service, entries, [audit]
            )
        except Exception as error:
            await self._failed(request, caller, "cds-feedback", outcome.as_mesh_error(error))
            raise
        for entry in entries:
            told = {"service": service, "outcome": entry.outcome, "reason": entry.reason}
            _feedback_count.add(1, told)
        return Response(status_code=200, headers=CORS)

    async def _authenticate(self, request: Request) -> tuple[str, Caller]:
        """Return the service that is called and who calls it.

        Raises
        ------
        Unauthenticated, Unavailable, NotFound
        """
        service = str(request.path_params["id"])
        text = token.bearer(request.headers.get("authorization", ""))
        client = token.issuer(text, self._clients)
        keys = await self._keys.of(client, token.key_id(text))
        address = f"{base_url(request, self._gateway.settings)}/cds-services/{service}"
        audiences = {address}
        if request.url.path.endswith("/feedback"):
            audiences.add(f"{address}/feedback")
        claims = token.verify(text, client, keys, audiences, time.time())
        if service not in SERVICES:
            raise NotFound("there is no such CDS service; GET /cds-services names them")
        return service, Caller(client, UsedToken(claims.iss, claims.jti, claims.exp))

    def _entry(
        self,
        request: Request,
        caller: Caller,
        interaction: str,
        hook: asked.HookRequest | None = None,
        error: MeshError | None = None,
    ) -> AuditEntry:
        patient = f"Patient/{hook.patient_id}" if hook else ""
        return trail.entry(
            request, caller.principal, interaction, patient, patient=patient, outcome=error
        )

    async def _failed(
        self, request: Request, caller: Caller, interaction: str, error: MeshError
    ) -> None:
        entry = self._entry(request, caller, interaction, error=error)
        await self._gateway.store.audit.record(entry)


def routes(gateway: Gateway) -> list[BaseRoute]:
    """Return the addresses of CDS Hooks, for the clients in the settings.

    Raises
    ------
    BadSettings
    """
    file = gateway.settings.cds_clients_file
    clients = parse_clients(file.read_text("utf-8")) if file else {}
    return CdsServices(gateway, clients).routes()


def _guarded(name: str, handler: Handler) -> Handler:
    async def run(request: Request) -> Response:
        try:
            headers = dict(request.headers)
            with telemetry.span(f"gateway {name}", kind=SpanKind.SERVER, parent=headers):
                return await handler(request)
        except Exception as error:  # noqa: BLE001 - every error is answered, none is shown raw
            return outcome.respond(outcome.as_mesh_error(error), headers=CORS)

    return run


async def _preflight(request: Request) -> Response:
    return Response(status_code=204, headers=PREFLIGHT)


async def _content(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnsupportedMediaType("a CDS client sends application/json")
    return await body(request, BODY_BYTES_MAX)


def _json(value: object, language: str) -> Response:
    headers = {
        **CORS,
        "Vary": "Accept-Language",
        "Content-Language": "zh-CN" if language == "zh" else "en",
    }
    return Response(orjson.dumps(value), headers=headers, media_type="application/json")
