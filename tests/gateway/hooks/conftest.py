"""An EHR as a CDS client: its keys, its tokens, and a gateway that trusts them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from services.gateway import app

BASE = "http://gateway"
ISS, SOUTH_ISS, SHY_ISS = "https://ehr.example", "https://south.example", "https://shy.example"


@pytest.fixture(scope="session")
def cds_keys() -> dict[str, ECKey]:
    """The private key of each EHR."""
    return {
        iss: ECKey.generate_key("P-384", {"kid": f"k-{n}", "use": "sig"})
        for n, iss in enumerate((ISS, SOUTH_ISS, SHY_ISS))
    }


@dataclass
class Ehr:
    """Calls CDS services as an EHR does."""

    http: httpx.AsyncClient
    keys: dict[str, ECKey]
    world: Any
    used: list[str] = field(default_factory=list)

    def token(self, service: str, by: str = ISS, *, header: Any = None, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": by,
            "aud": f"{BASE}/cds-services/{service}",
            "iat": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        } | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        key = self.keys[by]
        head = {"alg": "ES384", "kid": key.kid, "typ": "JWT"} | (header or {})
        return jwt.encode(head, kept, key, algorithms=[head["alg"]])

    async def post(
        self, service: str, body: Any, *, token: str = "", language: str = "en", path: str = ""
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token(service)}"}
        headers |= {"Accept-Language": language, "Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(
            f"/cds-services/{service}{path}", content=content, headers=headers
        )

    async def view(self, patient_id: str = "p-1", **more: Any) -> list[Any]:
        """Return the cards of patient-view."""
        body = view_request(patient_id, more.pop("patient", None))
        answer = await self.post("dxmesh-patient-view", body, **more)
        assert answer.status_code == 200, answer.text
        return list(answer.json()["cards"])

    async def order(self, *orders: Any, service: str = "dxmesh-order-sign", **more: Any) -> Any:
        """Return the cards for draft orders."""
        body = order_request(service.removeprefix("dxmesh-"), orders)
        answer = await self.post(service, body, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()["cards"]


def view_request(patient_id: str = "p-1", patient: Any = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": "https://ehr.example/fhir",
        "fhirAuthorization": {
            "access_token": "never-used",
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.read",
            "subject": "cds",
        },
        "context": {"userId": "Practitioner/7", "patientId": patient_id},
    }
    if patient is not None:
        body["prefetch"] = {"patient": patient}
    return body


def order_request(hook: str, orders: Any) -> dict[str, Any]:
    body = view_request() | {"hook": hook}
    body["context"]["draftOrders"] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": order} for order in orders],
    }
    if hook == "order-select":
        body["context"]["selections"] = [f"ServiceRequest/{order['id']}" for order in orders]
    return body


@pytest.fixture
def requests() -> Any:
    """Makers of hook requests."""
    return {"view": view_request, "order": order_request}


@pytest.fixture
async def ehr(world: Any, cds_keys: dict[str, ECKey], tmp_path: Path) -> AsyncIterator[Ehr]:
    """An EHR in front of a gateway that trusts it, and two others."""
    tenants = {ISS: "north", SOUTH_ISS: "south", SHY_ISS: "north"}
    lines = []
    for iss, tenant in tenants.items():
        keys = json.dumps({"keys": [cds_keys[iss].as_dict(private=False)]})
        lines += ["[[clients]]", f'iss = "{iss}"', f'tenant = "{tenant}"', f"jwks = '{keys}'"]
        if iss == SHY_ISS:
            lines.append("patient_ids = false")
    file = tmp_path / "cds.toml"
    file.write_text("\n".join(lines))
    settings = replace(world.gateway.settings, cds_clients_file=file)
    served = app.make(replace(world.gateway, settings=settings))
    transport = httpx.ASGITransport(app=served)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
        yield Ehr(http, cds_keys, world)
