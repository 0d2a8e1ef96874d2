"""An app, a browser with a physician in it, and the gateway under an address of its own."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from services.gateway import app
from services.gateway.call import Gateway

SITE = "https://gateway.example"
CALLBACK = "https://app.example/callback"
FORM = "application/x-www-form-urlencoded"


@dataclass
class App:
    """A registered client, and how it behaves."""

    client_id: str
    secret: str = ""
    key: Any = None
    alg: str = "ES384"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def request(self, scope: str, /, **more: str) -> dict[str, str]:
        """Return the parameters of an authorization request; an empty one is left out."""
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": scope,
            "state": "state-1",
            "aud": f"{SITE}/fhir",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (asked | more).items() if value}

    def claims(self, now_s: float, **more: Any) -> dict[str, Any]:
        made = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": f"{SITE}/smart/token",
            "exp": int(now_s) + 240,
            "jti": secrets.token_urlsafe(12),
        }
        return {name: value for name, value in (made | more).items() if value is not None}

    def assertion(self, claims: Mapping[str, Any], **header: Any) -> str:
        head = {"alg": self.alg, "kid": self.key.kid, **header}
        return jwt.encode(head, dict(claims), self.key, [head["alg"]])


@dataclass
class Smart:
    """What a test of the authorization server touches."""

    world: Any
    gateway: Gateway
    http: httpx.AsyncClient
    """The physician's browser."""
    outside: httpx.AsyncClient
    """The app's own server: it has no cookie."""

    @property
    def now_s(self) -> float:
        return self.gateway.store.database.now_us() / 1_000_000

    async def register(self, by: str = "operator", /, **client: Any) -> httpx.Response:
        content = {"name": "Growth chart", "redirect_uris": [CALLBACK], **client}
        content = {key: value for key, value in content.items() if value is not None}
        headers = self.world.bearer(by)
        return await self.outside.post("/ops/clients", json=content, headers=headers)

    async def app(self, scope: str, **client: Any) -> App:
        """Register a public app, or what `client` says."""
        answer = await self.register(scope=scope, **client)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return App(made["client_id"], made.get("client_secret", ""))

    async def backend(self, scope: str, *, alg: str = "ES384", **client: Any) -> App:
        key = make_key(alg)
        jwks = {"keys": [key.as_dict(private=False)]}
        made = {"kind": "asymmetric", "role": "ehr", "redirect_uris": None, "jwks": jwks, **client}
        answer = await self.register(scope=scope, **made)
        assert answer.status_code == 201, answer.text
        return App(answer.json()["client_id"], key=key, alg=alg)

    async def sign_in(self, name: str = "reader") -> None:
        form = {"name": name, "password": "correct horse battery", "next": "/worklist"}
        answer = await self.http.post("/sign-in", data=form)
        assert answer.status_code == 303

    async def ask(self, asked: Mapping[str, str]) -> httpx.Response:
        return await self.http.get("/smart/authorize", params=dict(asked))

    async def answer(self, page: httpx.Response, **given: Any) -> httpx.Response:
        """Send a page's form; a checkbox that is ticked stays ticked unless `scope` is given."""
        fields = hidden(page.text)
        if "scope" not in given and given.get("decision") == "approve":
            given["scope"] = ticks(page.text)
        return await self.http.post("/smart/authorize/decide", data={**fields, **given})

    async def code(self, app: App, scope: str, *, patient: str = "p-1", **more: str) -> str:
        """Walk through sign-in, picker and consent; return the code."""
        page = await self.ask(app.request(scope, **more))
        if page.status_code == 303 and page.headers["location"].startswith("/sign-in"):
            await self.sign_in()
            page = await self.ask(app.request(scope, **more))
        if 'name="q"' in page.text:
            page = await self.answer(page, patient=patient)
        if 'name="encounter" value="-">' in page.text and "choices" in page.text:
            page = await self.answer(page, encounter="-")
        done = await self.answer(page, decision="approve")
        return sent_back(done)["code"]

    async def token(self, app: App, **fields: str) -> httpx.Response:
        """Ask the token endpoint, with the proof the app has."""
        auth = (app.client_id, app.secret) if app.secret else None
        if app.key and "client_assertion" not in fields:
            fields |= {
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": app.assertion(app.claims(self.now_s)),
            }
        elif not auth and not app.key:
            fields = {"client_id": app.client_id} | fields
        fields = {name: value for name, value in fields.items() if value}
        extra = {"auth": auth} if auth else {}
        return await self.outside.post("/smart/token", data=fields, **extra)

    async def exchange(self, app: App, code: str, **more: str) -> httpx.Response:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": app.verifier,
        }
        return await self.token(app, **(fields | more))

    async def tokens(self, app: App, scope: str, **more: str) -> dict[str, Any]:
        answer = await self.exchange(app, await self.code(app, scope, **more))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def make_app(self, client_id: str, **more: Any) -> App:
        return App(client_id, **more)

    def later(self, seconds: float) -> None:
        """Let time pass for the store."""
        database = self.gateway.store.database
        before = database.now_us
        object.__setattr__(database, "now_us", lambda: before() + int(seconds * 1_000_000))

    async def get(self, path: str, token: str) -> httpx.Response:
        return await self.outside.get(path, headers={"Authorization": f"Bearer {token}"})

    async def put(self, *resources: Mapping[str, Any], tenant: str = "north") -> None:
        """Store resources as the hospital would have sent them."""
        async with self.gateway.store.resources.writing(tenant) as writing:
            for resource in resources:
                await writing.save(orjson.dumps(resource))


def make_key(alg: str) -> Any:
    if alg == "ES384":
        return ECKey.generate_key("P-384", auto_kid=True)
    return RSAKey.generate_key(2048, auto_kid=True)


def hidden(text: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text)
    skipped = ("next", "language")
    return {name: html.unescape(value) for name, value in found if name not in skipped}


def ticks(text: str) -> list[str]:
    found = re.findall(r'type="checkbox" name="scope" value="([^"]*)"', text)
    return [html.unescape(value) for value in found]


def sent_back(answer: httpx.Response, to: str = CALLBACK) -> dict[str, str]:
    """Return what an app was told at its address."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(to), location
    return dict(parse_qsl(urlsplit(location).query))


PEOPLE = (
    {
        "resourceType": "Patient",
        "id": "p-1",
        "identifier": [{"system": "urn:test:mrn", "value": "MRN-7431"}],
        "name": [{"family": "Zhang", "given": ["Fictional"]}],
        "birthDate": "1964-03-15",
        "gender": "male",
    },
    {
        "resourceType": "Patient",
        "id": "p-2",
        "identifier": [{"system": "urn:test:mrn", "value": "MRN-9000"}],
        "name": [{"family": "Other", "given": ["Invented"]}],
        "birthDate": "1980-01-01",
        "gender": "female",
    },
)


@pytest.fixture
async def smart(world: Any) -> AsyncIterator[Smart]:
    """The gateway at https://gateway.example, two patients in it."""
    settings = replace(world.gateway.settings, public_url=SITE)
    gateway = replace(world.gateway, settings=settings)
    transport = httpx.ASGITransport(app=app.make(gateway))
    async with (
        httpx.AsyncClient(transport=transport, base_url=SITE) as http,
        httpx.AsyncClient(transport=transport, base_url=SITE) as outside,
    ):
        made = Smart(world, gateway, http, outside)
        await made.put(*PEOPLE)
        yield made
