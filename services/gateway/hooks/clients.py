"""The CDS clients an operator trusts: a TOML file with their public keys. Pure.

[[clients]]
iss = "https://ehr.example.org"      # `iss` of its tokens, exactly
tenant = "north"                     # whose data it is answered from
jwks_url = "https://ehr.example.org/jwks.json"
ehr_tenant = ""                      # `tenant` of its tokens, where one issuer serves several

[[clients]]
iss = "https://other.example.org"
tenant = "south"
jwks = '{"keys": [ … ]}'             # instead of jwks_url
patient_ids = false                  # its Patient ids are not those that cases were sent with
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from services.kernel.errors import InvalidInput
from services.kernel.settings import BadSettings

KEYS_MAX = 64
RSA_BITS_MIN = 2048
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_FIELDS = frozenset({"iss", "tenant", "jwks", "jwks_url", "ehr_tenant", "patient_ids"})


@dataclass(frozen=True, slots=True)
class CdsClient:
    """An EHR that may call our CDS services."""

    iss: str
    tenant: str
    ehr_tenant: str = ""
    """`tenant` claim that its tokens must carry; empty: none is looked at."""
    jwks: KeySet | None = None
    jwks_url: str = ""
    patient_ids: bool = True
    """Whether a Patient may be found by its id alone, without an identifier."""


Clients = Mapping[tuple[str, str], CdsClient]
"""(iss, ehr_tenant) → client."""


def parse(text: str) -> dict[tuple[str, str], CdsClient]:
    """Return the clients in a TOML document.

    Raises
    ------
    BadSettings
        Names the entry and what is wrong with it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the file of CDS clients is not TOML: {error}") from error
    clients: dict[tuple[str, str], CdsClient] = {}
    for number, entry in enumerate(document.get("clients", []), 1):
        client = _client(entry, f"clients[{number}]")
        if (client.iss, client.ehr_tenant) in clients:
            raise BadSettings(f"clients[{number}]: another entry has the same iss and ehr_tenant")
        clients[client.iss, client.ehr_tenant] = client
    return clients


def find(clients: Clients, iss: str, ehr_tenant: str) -> CdsClient | None:
    """Return who signs as `iss`, for the tenant it names where one is configured."""
    return clients.get((iss, ehr_tenant)) or clients.get((iss, ""))


def key_set(document: Any) -> KeySet:
    """Return the public keys of a JWKS that may check a signature.

    Symmetric and private keys, and keys meant for encryption, are left out.

    Raises
    ------
    InvalidInput
        Not a JWKS, or no usable key in it.
    """
    entries = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(entries, list) or len(entries) > KEYS_MAX:
        raise InvalidInput("not a JSON Web Key Set", reason="BAD_JWKS")
    keys: list[Key] = []
    for entry in entries:
        if not isinstance(entry, Mapping) or "d" in entry or entry.get("use", "sig") != "sig":
            continue
        try:
            if entry.get("kty") == "RSA":
                key = RSAKey.import_key(dict(entry))
                if key.public_key.key_size >= RSA_BITS_MIN:
                    keys.append(key)
            elif entry.get("kty") == "EC":
                keys.append(ECKey.import_key(dict(entry)))
        except (JoseError, ValueError, TypeError, KeyError):
            continue  # a key of a kind we do not know is of no use, and no harm
    if not keys:
        raise InvalidInput("no public RSA or EC key for signatures in it", reason="BAD_JWKS")
    return KeySet(keys)


def _client(entry: Mapping[str, Any], where: str) -> CdsClient:
    if unknown := sorted(set(entry) - _FIELDS):
        raise BadSettings(f"{where}: {', '.join(unknown)} is not known")
    iss, tenant = entry.get("iss"), entry.get("tenant")
    if not isinstance(iss, str) or not iss:
        raise BadSettings(f"{where}: iss is missing")
    if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
        raise BadSettings(f"{where}: tenant must be lower-case letters, digits and '-'")
    url, inline = str(entry.get("jwks_url", "")), entry.get("jwks")
    if bool(url) == (inline is not None):
        raise BadSettings(f"{where}: exactly one of jwks_url and jwks is needed")
    keys = None
    if inline is not None:
        try:
            keys = key_set(json.loads(inline))
        except (InvalidInput, TypeError, ValueError) as error:
            raise BadSettings(f"{where}: jwks holds no usable public key") from error
    return CdsClient(
        iss,
        tenant,
        str(entry.get("ehr_tenant", "")),
        keys,
        url,
        bool(entry.get("patient_ids", True)),
    )
