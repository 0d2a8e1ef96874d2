"""Accounts as the operator writes them: a TOML file with hashes, no secrets. Pure.

[[clients]]
id = "ehr-1"
tenant = "north"
role = "ehr"
token_sha256 = "…64 hex digits of SHA-256 of the bearer token…"

[[users]]
name = "li.wei"
tenant = "north"
role = "physician"
display = "…"
practitioner = "system|value"
password = "scrypt$n$r$p$salt$hash"
restricted = true  # may see what is labelled R or V (v3-Confidentiality); left out: false
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass

from services.gateway.access.passwords import DUMMY, ScryptHash
from services.gateway.access.principal import Principal, Role
from services.kernel.settings import BadSettings

_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Accounts:
    """Everybody who may ask for anything."""

    by_token: dict[str, Principal]
    """SHA-256 of the bearer token, hex → client."""
    by_name: dict[tuple[str, str], Principal]
    """(tenant, name) → user."""
    passwords: dict[tuple[str, str], ScryptHash]

    @property
    def tenants(self) -> set[str]:
        """Whom there is an account of."""
        known = (*self.by_token.values(), *self.by_name.values())
        return {principal.tenant for principal in known}

    def client(self, token: str) -> Principal | None:
        """Return whose bearer token this is."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        # The look-up compares digests of 256 random bits: its timing tells nothing of use.
        return self.by_token.get(digest)

    def find(self, name: str) -> tuple[str, str] | None:
        """Return the key of a user by name, or by `tenant/name` where two tenants share it."""
        tenant, slash, rest = name.partition("/")
        if slash:
            return (tenant, rest) if (tenant, rest) in self.by_name else None
        keys = [key for key in self.by_name if key[1] == name]
        return keys[0] if len(keys) == 1 else None

    def password_of(self, key: tuple[str, str] | None) -> ScryptHash:
        """Return the hash to check; a fixed one for nobody, so that both take as long."""
        return self.passwords.get(key, DUMMY) if key else DUMMY


def parse(text: str) -> Accounts:
    """Return the accounts in a TOML document.

    Raises
    ------
    BadSettings
        Names the entry and what is wrong with it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the accounts file is not TOML: {error}") from error
    accounts = Accounts({}, {}, {})
    for number, entry in enumerate(document.get("clients", []), 1):
        where = f"clients[{number}]"
        token = _text(entry, "token_sha256", where).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", token):
            raise BadSettings(f"{where}: token_sha256 must be 64 hex digits")
        if token in accounts.by_token:
            raise BadSettings(f"{where}: another client has the same token")
        accounts.by_token[token] = Principal(
            _tenant(entry, where), _text(entry, "id", where), _role(entry, where)
        )
    for number, entry in enumerate(document.get("users", []), 1):
        where = f"users[{number}]"
        name, tenant = _text(entry, "name", where), _tenant(entry, where)
        if (tenant, name) in accounts.by_name:
            raise BadSettings(f"{where}: {name} is there twice")
        accounts.by_name[tenant, name] = Principal(
            tenant,
            name,
            _role(entry, where),
            str(entry.get("display", name)),
            str(entry.get("practitioner", "")),
            restricted=_flag(entry, "restricted", where),
        )
        accounts.passwords[tenant, name] = ScryptHash.parse(_text(entry, "password", where), where)
    return accounts


def _text(entry: dict[str, object], field: str, where: str) -> str:
    value = entry.get(field)
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{where}: {field} is missing")
    return value


def _flag(entry: dict[str, object], field: str, where: str) -> bool:
    value = entry.get(field, False)
    if not isinstance(value, bool):
        raise BadSettings(f"{where}: {field} must be true or false")
    return value


def _tenant(entry: dict[str, object], where: str) -> str:
    tenant = _text(entry, "tenant", where)
    if not _TENANT.fullmatch(tenant):
        raise BadSettings(f"{where}: a tenant is lower-case letters, digits and '-'")
    return tenant


def _role(entry: dict[str, object], where: str) -> Role:
    try:
        return Role(_text(entry, "role", where))
    except ValueError as error:
        raise BadSettings(f"{where}: role must be one of {', '.join(Role)}") from error
