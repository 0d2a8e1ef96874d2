"""What attacks on the authorization server are made of: forged assertions, keys, addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

CALLBACK = "https://app.example/callback"
SCOPE = "user/Patient.rs"
OFFLINE = "offline_access user/Patient.rs"
SITE = "https://gateway.example"


def key_set(kind: Any, size: Any, *, private: bool = False) -> dict[str, Any]:
    return {"keys": [kind.generate_key(size).as_dict(private=private)]}


def told(answer: Any) -> str:
    """Return the error an app was told at its own address."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert location.startswith(f"{CALLBACK}?"), location
    assert "iss=https%3A%2F%2Fgateway.example" in location
    return str(location.partition("error=")[2].partition("&")[0])


async def asked(smart: Any, app: Any, assertion: str) -> Any:
    return await smart.token(
        app,
        grant_type="client_credentials",
        scope="system/Patient.rs",
        client_assertion=assertion,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )


def forged(app: Any, claims: dict[str, Any], alg: str, key: Any, **header: Any) -> str:
    """Return a JWT with whatever header, signed as the algorithm says with whatever key."""
    kid = app.key.kid if app.key else "k"
    head = {"alg": alg, "kid": kid, "typ": "JWT", **header}
    parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=") for p in (head, claims)]
    signed = b".".join(parts)
    if alg == "none":
        return (signed + b".").decode()
    if alg.startswith("HS"):
        secret = key.as_pem(private=False) if key.key_type != "oct" else key.raw_value
        mac = hmac.new(secret, signed, getattr(hashlib, f"sha{alg[2:]}")).digest()
        return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()
    if alg in ("ES256", "RS256", "PS384"):
        key = ECKey.generate_key("P-256") if alg == "ES256" else key
    return jws.serialize_compact(head, parts_payload(claims), key, [alg])


def parts_payload(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims).encode()


def resolver(visited: list[str]) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        visited.append(host)
        return ["127.0.0.1"]

    return resolve
