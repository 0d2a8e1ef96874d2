"""A small EHR on a real port: SMART authorization that approves at once, and an R4 server.

It knows nothing of dxmesh's code. What it does can be changed while it runs: `fails` answers
a request with a status, `down` refuses everything, `tokens` and `resources` can be looked at.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from granian.constants import Interfaces
from granian.server.embed import Server
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

FHIR = "application/fhir+json"


def patient(number: str, name: str) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": number,
        "identifier": [{"type": kind, "system": "urn:test:mrn", "value": f"MRN-{number}"}],
        "name": [{"text": name}],
        "gender": "female",
        "birthDate": "1971-02-03",
    }


def chart(number: str = "p-1", name: str = "Chen Fictional") -> list[dict[str, Any]]:
    """Return a patient with an order, a consent, results, notes and a study."""
    subject = {"reference": f"Patient/{number}"}
    note = "Cough for three weeks. Smoker."
    return [
        patient(number, name),
        {
            "resourceType": "Encounter",
            "id": f"{number}-visit",
            "status": "in-progress",
            "class": {"code": "AMB"},
            "subject": subject,
        },
        {
            "resourceType": "Consent",
            "id": f"{number}-consent",
            "status": "active",
            "scope": {"coding": [{"code": "patient-privacy"}]},
            "category": [{"coding": [{"code": "59284-0"}]}],
            "patient": subject,
            "dateTime": "2026-11-01",
            "policyRule": {"coding": [{"code": "OPTIN"}]},
            "provision": {"type": "permit"},
        },
        {
            "resourceType": "ServiceRequest",
            "id": f"{number}-order",
            "status": "active",
            "intent": "order",
            "code": {"text": "CT Chest"},
            "subject": subject,
            "authoredOn": "2026-11-20T08:00:00Z",
        },
        *(
            {
                "resourceType": "Observation",
                "id": f"{number}-lab-{number_of}",
                "status": "final",
                "category": [{"coding": [{"code": "laboratory"}]}],
                "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": text},
                "subject": subject,
                "effectiveDateTime": f"2026-11-{20 + number_of}T09:20:00+08:00",
                "valueQuantity": {"value": value, "unit": unit},
            }
            for number_of, (code, text, value, unit) in enumerate(
                [("2823-3", "Potassium", 6.8, "mmol/L"), ("718-7", "Hemoglobin", 13.1, "g/dL")]
            )
        ),
        {
            "resourceType": "DocumentReference",
            "id": f"{number}-note",
            "status": "current",
            "subject": subject,
            "date": "2026-11-19T10:00:00Z",
            "description": "Progress note",
            "content": [
                {"attachment": {"contentType": "text/plain", "url": f"Binary/{number}-text"}}
            ],
        },
        {
            "resourceType": "DocumentReference",
            "id": f"{number}-scan",
            "status": "current",
            "subject": subject,
            "content": [{"attachment": {"contentType": "application/pdf", "url": "Binary/x"}}],
        },
        {
            "resourceType": "Binary",
            "id": f"{number}-text",
            "contentType": "text/plain",
            "data": base64.b64encode(note.encode()).decode(),
        },
        {
            "resourceType": "ImagingStudy",
            "id": f"{number}-study",
            "status": "available",
            "subject": subject,
            "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}],
            "description": "Chest CT",
            "numberOfInstances": 1,
            "series": [{"uid": "1.2.9.1", "modality": {"code": "CT"}, "numberOfInstances": 1}],
            "endpoint": [{"reference": "Endpoint/archive"}],
        },
    ]


@dataclass
class FakeEhr:
    """One EHR; `url` is its FHIR base."""

    origin: str = ""
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    """client_id → secret or jwks; {}: public."""
    resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    launches: dict[str, dict[str, str]] = field(default_factory=dict)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    refreshes: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    fails: dict[str, list[int]] = field(default_factory=dict)
    """"METHOD Kind" → statuses to answer with, one per request."""
    after: Callable[[str, str], Any] | None = None
    """Called after a change was made and before it is answered: (method, "Kind/id")."""
    down: bool = False
    token_s: int = 300
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    claims: dict[str, Any] = field(default_factory=dict)
    """Changes to the id_token."""
    answer: dict[str, str] = field(default_factory=dict)
    """Changes to the authorization response."""
    configuration: dict[str, Any] = field(default_factory=dict)
    user: str = "Practitioner/dr-1"
    conditional: bool = True
    """Whether it understands If-None-Exist."""
    page: int = 50
    ignores: set[str] = field(default_factory=set)
    """Search parameters that it does not understand."""
    served: Any = None
    archive: bytes = b""
    """multipart/related body of WADO-RS."""

    @property
    def url(self) -> str:
        return f"{self.origin}/fhir"

    def put(self, *resources: dict[str, Any]) -> None:
        for resource in resources:
            self.resources[resource["resourceType"], resource["id"]] = json.loads(
                json.dumps(resource)
            )

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r for (k, _), r in self.resources.items() if k == kind]

    def launch(self, patient_id: str = "p-1") -> str:
        token = secrets.token_hex(8)
        self.launches[token] = {"patient": patient_id, "encounter": f"{patient_id}-visit"}
        return token

    def revoke(self) -> None:
        self.access.clear()
        self.refreshes.clear()

    def app(self) -> Starlette:
        self.served = Starlette(
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
        return self.served

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

    def _refusal(self, request: Request, kind: str) -> Response | None:
        self.requests.append((request.method, kind))
        if self.down:
            return Response(status_code=503)
        statuses = self.fails.get(f"{request.method} {kind}")
        if statuses:
            return JSONResponse({"resourceType": "OperationOutcome"}, statuses.pop(0))
        token = request.headers.get("authorization", "").partition(" ")[2]
        held = self.access.get(token)
        if held is None or held["until"] < time.time():
            return JSONResponse({"resourceType": "OperationOutcome"}, 401)
        return None

    async def _type(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        if refusal := self._refusal(request, kind):
            return refusal
        if request.method == "POST":
            resource = json.loads(await request.body())
            return self._create(kind, resource, request.headers.get("if-none-exist", ""))
        found = self._search(kind, dict(request.query_params))
        offset = int(request.query_params.get("_offset", 0))
        count = min(int(request.query_params.get("_count", 50)), self.page)
        bundle: dict[str, Any] = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": r} for r in found[offset : offset + count]],
        }
        if offset + count < len(found):
            query = urlencode(dict(request.query_params) | {"_offset": offset + count})
            bundle["link"] = [{"relation": "next", "url": f"{self.url}/{kind}?{query}"}]
        return JSONResponse(bundle, media_type=FHIR)

    def _search(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        found = self.of(kind)
        query = {name: value for name, value in query.items() if name not in self.ignores}
        if wanted := query.get("patient"):
            found = [
                r
                for r in found
                if (r.get("subject") or r.get("patient") or {}).get("reference")
                == f"Patient/{wanted.removeprefix('Patient/')}"
            ]
        if wanted := query.get("identifier"):
            system, _, value = wanted.partition("|")
            pair = {"system": system, "value": value}
            found = [
                r
                for r in found
                if any({"system": i["system"], "value": i["value"]} == pair for i in _numbers(r))
            ]
        return found

    def _create(self, kind: str, resource: dict[str, Any], condition: str) -> Response:
        if condition and self.conditional:
            query = {k: v[0] for k, v in parse_qs(condition).items()}
            found = self._search(kind, query)
            if len(found) > 1:
                return JSONResponse({"resourceType": "OperationOutcome"}, 412)
            if found:
                return self._stored(found[0], 200)
        resource = resource | {"id": secrets.token_hex(6), "meta": resource.get("meta", {})}
        return self._save(resource, "1", 201, "POST")

    def _save(self, resource: dict[str, Any], version: str, status: int, method: str) -> Response:
        resource["meta"] = {**resource.get("meta", {}), "versionId": version}
        self.put(resource)
        if self.after:
            self.after(method, f"{resource['resourceType']}/{resource['id']}")
        return self._stored(resource, status)

    def _stored(self, resource: dict[str, Any], status: int) -> Response:
        version = resource["meta"].get("versionId", "1")
        place = f"{self.url}/{resource['resourceType']}/{resource['id']}"
        headers = {"ETag": f'W/"{version}"', "Location": f"{place}/_history/{version}"}
        return JSONResponse(resource, status, headers, media_type=FHIR)

    async def _one(self, request: Request) -> Response:
        kind, number = request.path_params["kind"], request.path_params["id"]
        if refusal := self._refusal(request, kind):
            return refusal
        held = self.resources.get((kind, number))
        if held is None:
            return JSONResponse({"resourceType": "OperationOutcome"}, 404)
        if request.method == "GET":
            return JSONResponse(held, media_type=FHIR)
        version = held.get("meta", {}).get("versionId", "1")
        wanted = request.headers.get("if-match")
        if wanted and wanted != f'W/"{version}"':
            return JSONResponse({"resourceType": "OperationOutcome"}, 412)
        resource = json.loads(await request.body())
        assert resource["id"] == number
        return self._save(resource, str(int(version) + 1), 200, "PUT")

    def _place(self, entry: dict[str, Any]) -> str:
        """Return "Kind/id" an entry of a transaction is about; conditional ones are looked for."""
        request = entry["request"]
        kind, _, condition = request["url"].partition("?")
        condition = condition or request.get("ifNoneExist", "")
        if not condition:
            return kind if "/" in kind else f"{kind}/{secrets.token_hex(6)}"
        found = self._search(kind, {k: v[0] for k, v in parse_qs(condition).items()})
        return f"{kind}/{found[0]['id'] if found else secrets.token_hex(6)}"

    async def _batch(self, request: Request) -> Response:
        if refusal := self._refusal(request, "Bundle"):
            return refusal
        bundle = json.loads(await request.body())
        assert bundle["type"] == "transaction"
        places = {e["fullUrl"]: self._place(e) for e in bundle["entry"]}
        answers = []
        for entry in bundle["entry"]:
            wanted = entry["request"].get("ifMatch")
            held = self.resources.get(tuple(places[entry["fullUrl"]].split("/")), {})
            if wanted and wanted != f'W/"{held.get("meta", {}).get("versionId")}"':
                return JSONResponse({"resourceType": "OperationOutcome"}, 412)
        for entry in bundle["entry"]:
            kind, number = places[entry["fullUrl"]].split("/")
            text = json.dumps(entry["resource"])
            for full, place in places.items():
                text = text.replace(json.dumps(full), json.dumps(place))
            before = self.resources.get((kind, number), {}).get("meta", {}).get("versionId", "0")
            self._save(json.loads(text) | {"id": number}, str(int(before) + 1), 200, "PUT")
            location = f"{self.url}/{kind}/{number}"
            answers.append({"response": {"status": "200 OK", "location": location}})
        answer = {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}
        return JSONResponse(answer, media_type=FHIR)


def _numbers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    return [i for i in resource.get("identifier", []) if "system" in i]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return certificate and key for localhost and 127.0.0.1, made now and signed by itself."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / "tls.crt", folder / "tls.key"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_path, key_path


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


def ec_key() -> ECKey:
    return ECKey.generate_key("P-384")
