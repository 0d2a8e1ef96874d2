"""Who launched: the id_token checked, and the physician it stands for. Pure.

Source: OpenID Connect Core 1.0, 3.1.3.7; SMART App Launch 2.2.0, Scopes for requesting
identity data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from services.gateway.access.accounts import Accounts
from services.gateway.access.principal import Principal, Role
from services.gateway.ehr.registry import Ehr
from services.kernel.errors import Forbidden

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384")
"""None is symmetric: an id_token under our own secret would prove nothing about the EHR."""
LEEWAY_S = 60
_USER = re.compile(
    r"(Practitioner|PractitionerRole|Person|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}"
)
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS))


@dataclass(frozen=True, slots=True)
class Identity:
    """What a checked id_token says."""

    fhir_user: str
    """"Practitioner/123" at the EHR; empty: the token does not say."""
    subject: str
    name: str
    auth_time_s: int
    """When the person proved who they are; 0: unknown."""


class IdTokenRefused(Forbidden):
    """The id_token is not what an OpenID provider would give us; `reason` says why."""


def check(
    token: str, keys: Mapping[str, Any], ehr: Ehr, issuers: Sequence[str], nonce: str, now_s: int
) -> Identity:
    """Return whom an id_token is about.

    Parameters
    ----------
    keys : JWK set of the EHR
    issuers : the values of `iss` that are this EHR's

    Raises
    ------
    IdTokenRefused
        Signature, issuer, audience, time or nonce is wrong.
    """
    try:
        decoded = jwt.decode(token, KeySet.import_key_set(dict(keys)), registry=_REGISTRY)  # type: ignore[arg-type]  # a JWK set, checked by joserfc
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise IdTokenRefused(
            "the id_token's signature is not the EHR's", reason="ID_TOKEN_SIGNATURE"
        ) from error
    claims = decoded.claims
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if str(claims.get("iss", "")).rstrip("/") not in {i.rstrip("/") for i in issuers}:
        raise IdTokenRefused("the id_token is of another issuer", reason="ID_TOKEN_ISSUER")
    if ehr.client_id not in audiences or claims.get("azp", ehr.client_id) != ehr.client_id:
        raise IdTokenRefused("the id_token is for another client", reason="ID_TOKEN_AUDIENCE")
    expires, issued = _seconds(claims, "exp"), _seconds(claims, "iat")
    if expires + LEEWAY_S < now_s or issued > now_s + LEEWAY_S:
        raise IdTokenRefused("the id_token is expired or from the future", reason="ID_TOKEN_TIME")
    if claims.get("nonce") != nonce:
        raise IdTokenRefused("the id_token is of another launch", reason="ID_TOKEN_NONCE")
    return Identity(
        fhir_user=user_reference(ehr, claims.get("fhirUser") or claims.get("profile")),
        subject=str(claims.get("sub", "")),
        name=str(claims.get("name", ""))[:128],
        auth_time_s=_seconds(claims, "auth_time"),
    )


def user_reference(ehr: Ehr, value: object) -> str:
    """Return "Type/id" of a fhirUser; empty when it is not on the EHR's own FHIR server."""
    text = value if isinstance(value, str) else ""
    relative = text.removeprefix(f"{ehr.issuer}/")
    return relative if _USER.fullmatch(relative) else ""


def physician(
    ehr: Ehr, accounts: Accounts, identity: Identity, practitioner: Mapping[str, Any]
) -> Principal:
    """Return the physician an EHR user is here.

    Parameters
    ----------
    practitioner : the user's resource at the EHR; empty when it could not be read

    Raises
    ------
    Forbidden
        The operator knows no such user.
    """
    known = marks(identity, practitioner)
    numbers = _identifiers(practitioner)
    for mark in known:
        account = accounts.by_name.get((ehr.tenant, ehr.users.get(mark, "")))
        if account and account.role is Role.PHYSICIAN:
            return account
    if identity.fhir_user and set(known) & set(ehr.allow):
        return Principal(
            ehr.tenant,
            f"{ehr.name}/{identity.fhir_user}",
            Role.PHYSICIAN,
            _name(practitioner) or identity.name or identity.fhir_user,
            next(iter(numbers), ""),
        )
    raise Forbidden(
        "this EHR user is not a physician here; the operator adds users to the EHR file",
        reason="EHR_USER_NOT_KNOWN",
    )


def marks(identity: Identity, practitioner: Mapping[str, Any]) -> list[str]:
    """Return what the EHR file may name a user by: fhirUser, "system|value", "system|*"."""
    numbers = _identifiers(practitioner)
    systems = [f"{number.rpartition('|')[0]}|*" for number in numbers]
    user = [identity.fhir_user] if identity.fhir_user else []
    return [*user, *numbers, *dict.fromkeys(systems)]


def _identifiers(practitioner: Mapping[str, Any]) -> list[str]:
    return [
        f"{i['system']}|{i['value']}"
        for i in practitioner.get("identifier", [])
        if i.get("system") and i.get("value") and i.get("use") != "old"
    ]


def _name(practitioner: Mapping[str, Any]) -> str:
    for name in practitioner.get("name", []):
        parts = [*name.get("prefix", []), *name.get("given", []), name.get("family", "")]
        if text := str(name.get("text") or " ".join(p for p in parts if p)).strip():
            return text[:128]
    return ""


def _seconds(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name, 0)
    return int(value) if isinstance(value, int | float) and value < 1 << 40 else 0
