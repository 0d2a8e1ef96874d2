"""A small EHR on a real port: SMART authorization that approves at once, and an R4 server.

It knows nothing of dxmesh's code. What it does can be changed while it runs: `fails` answers
a request with a status, `down` refuses everything, `tokens` and `resources` can be looked at.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from gateway_fake_fhir import FakeFhir
from granian.constants import Interfaces
from granian.server.embed import Server
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

FHIR = "application/fhir+json"


@dataclass
class FakeEhr(FakeFhir):
    """One EHR; `url` is its FHIR base."""

    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    """client_id → secret or jwks; {}: public."""
    launches: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    refreshes: dict[str, dict[str, Any]] = field(default_factory=dict)
    token_s: int = 300
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    claims: dict[str, Any] = field(default_factory=dict)
    """Changes to the id_token."""
    answer: dict[str, str] = field(default_factory=dict)
    """Changes to the authorization response."""
    configuration: dict[str, Any] = field(default_factory=dict)
    user: str = "Practitioner/dr-1"
    served: Any = None
    archive: bytes = b""
    """multipart/related body of WADO-RS."""

    def launch(self, patient_id: str = "p-1") -> str:
        token = secrets.token_hex(8)
        self.launches[token] = {"patient": patient_id, "encounter": f"{patient_id}-visit"}
        return token

    def revoke(self) -> None:
        self.access.clear()
        self.refreshes.clear()

    def app(self) -> Starlette:
        served = Starlette(
            routes=[
                Route("/fhir/.well-known/smart-configuration", self._configuration),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/wado/studies/{uid}", self._wado),
                Route("/frame", self._frame),
                Route("/fhir", self._batch, methods=["POST"]),
                Route("/fhir/{kind}", self._type, methods=["GET", "POST", "PUT"]),
                Route("/fhir/{kind}/{id}", self._one, methods=["GET", "PUT"]),
            ]
        )
        self.served = served
        return served

    async def _configuration(self, request: Request) -> Response:
        if self.down:
            return Response(status_code=503)
        return JSONResponse(
            {
                "issuer": self.url,
                "jwks_uri": f"{self.origin}/jwks",
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
                "code_challenge_methods_supported": ["S256"],
                "capabilities": ["launch-ehr", "sso-openid-connect"],
                "authorization_response_iss_parameter_supported": True,
            }
            | self.configuration
        )

    async def _jwks(self, request: Request) -> Response:
        public = dict(self.key.as_dict(private=False)) | {"kid": self.key.thumbprint()}
        return JSONResponse({"keys": [public]})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["response_type"] == "code" and asked["client_id"] in self.clients
        assert asked["code_challenge_method"] == "S256" and asked["aud"] == self.url
        code = secrets.token_hex(8)
        context = self.launches.pop(asked["launch"]) if "launch" in asked else {}
        self.codes[code] = asked | {"context": context}
        back = {"code": code, "state": asked["state"], "iss": self.url} | self.answer
        query = urlencode({k: v for k, v in back.items() if v})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", 302)

    async def _token(self, request: Request) -> Response:
        if self.down:
            return Response(status_code=503)
        form = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
        client_id = self._client(request, form)
        if client_id is None:
            return JSONResponse({"error": "invalid_client"}, 401)
        kind = form["grant_type"]
        if kind == "authorization_code":
            asked = self.codes.pop(form["code"], None)
            verifier = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
            if asked is None or challenge != asked["code_challenge"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            if asked["redirect_uri"] != form["redirect_uri"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse(self._grant(asked))
        if kind == "refresh_token":
            asked = self.refreshes.pop(form["refresh_token"], None)
            if asked is None:
                return JSONResponse({"error": "invalid_grant"}, 400)
            return JSONResponse(self._grant(asked))
        if kind == "client_credentials":
            token = secrets.token_hex(12)
            self.access[token] = {"scope": form["scope"], "until": time.time() + self.token_s}
            answer = {"access_token": token, "token_type": "bearer", "scope": form["scope"]}
            return JSONResponse(answer | {"expires_in": self.token_s})
        return JSONResponse({"error": "unsupported_grant_type"}, 400)

    def _client(self, request: Request, form: dict[str, str]) -> str | None:
        scheme, _, basic = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(basic).decode().partition(":")
            return name if self.clients.get(name, {}).get("secret") == secret else None
        if proof := form.get("client_assertion"):
            for name, client in self.clients.items():
                if "jwks" in client:
                    keys = KeySet.import_key_set(client["jwks"])
                    claims = jwt.decode(proof, keys, algorithms=["ES384", "RS384"]).claims
                    if claims["sub"] == name and claims["aud"] == f"{self.origin}/token":
                        return name
            return None
        name = form.get("client_id", "")
        return name if self.clients.get(name) == {} else None

    def _grant(self, asked: dict[str, Any]) -> dict[str, Any]:
        token, refresh = secrets.token_hex(12), secrets.token_hex(12)
        scope = asked.get("granted", asked["scope"])
        self.access[token] = {"scope": scope, "until": time.time() + self.token_s}
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.token_s}
        answer |= {"scope": scope, **asked["context"]}
        if "offline_access" in scope:
            self.refreshes[refresh] = asked
            answer["refresh_token"] = refresh
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "sub": "user-1",
            "iat": now,
            "exp": now + 300,
            "nonce": asked.get("nonce", ""),
            "fhirUser": f"{self.url}/{self.user}",
        } | self.claims
        header = {"alg": "ES256", "kid": self.key.thumbprint()}
        answer["id_token"] = jwt.encode(header, claims, self.key)
        return answer

    async def _wado(self, request: Request) -> Response:
        if self._refusal(request, "Wado"):
            return Response(status_code=404)
        kind = 'multipart/related; type="application/dicom"; boundary=edge'
        return Response(self.archive, media_type=kind)

    async def _frame(self, request: Request) -> Response:
        """Show an address in a frame, as an EHR's page does."""
        target = request.query_params["src"].replace('"', "")
        return HTMLResponse(
            f'<!doctype html><title>EHR</title><h1 id="ehr">The EHR</h1>'
            f'<iframe id="app" src="{target}" width="1240" height="700"></iframe>'
        )


@asynccontextmanager
async def serve(
    ehr: FakeEhr, host: str = "127.0.0.1", tls: Path | None = None
) -> AsyncIterator[FakeEhr]:
    """Run the EHR on a free port; `tls` is a folder with tls.crt and tls.key."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ehr.origin = f"{'https' if tls else 'http'}://{host}:{port}"
    server = Server(
        ehr.app(),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        ssl_cert=tls / "tls.crt" if tls else None,
        ssl_key=tls / "tls.key" if tls else None,
    )
    task = asyncio.create_task(server.serve())
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        await asyncio.sleep(0.02)
    try:
        yield ehr
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
        await task
