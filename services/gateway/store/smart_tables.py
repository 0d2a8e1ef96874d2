"""Tables of SMART clients, launches and tokens. Times are µs since 1970 UTC (`_us`).

Secrets, codes and tokens are there as SHA-256 alone: each is 256 random bits, so a hash
cannot be guessed back. What names a patient is sealed.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, String, Table, Text

from services.gateway.store.tables import metadata


def _key(name: str, length: int) -> Column[str]:
    return Column(name, String(length), primary_key=True)


def _text(name: str, length: int) -> Column[str]:
    return Column(name, String(length), nullable=False)


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


def _sealed(name: str = "sealed") -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


SMART_CLIENTS = Table(
    "gateway_smart_clients",
    metadata,
    _key("client_id", 64),
    _text("tenant", 64),
    Column("document", Text, nullable=False),
    _time("created_us"),
    _time("revoked_us"),
    _text("secret_hash", 64),
    _text("old_secret_hash", 64),
    _time("old_secret_until_us"),
    Index("gateway_smart_clients_by_tenant", "tenant", "created_us"),
)
"""Registrations; `document` is JSON without any secret."""

SMART_LAUNCHES = Table(
    "gateway_smart_launches",
    metadata,
    _key("launch_hash", 64),
    _text("tenant", 64),
    _text("client_id", 64),
    _time("expires_us"),
    _time("used_us"),
    _sealed(),
    Index("gateway_smart_launches_by_time", "expires_us"),
)
"""What an EHR said an app is to be opened with; each is taken once."""

SMART_GRANTS = Table(
    "gateway_smart_grants",
    metadata,
    _key("grant_id", 32),
    _text("tenant", 64),
    _text("client_id", 64),
    _text("account", 128),
    _text("session_hash", 64),
    _time("created_us"),
    _time("ends_us"),
    _time("revoked_us"),
    _text("reason", 32),
    _sealed(),
    Index("gateway_smart_grants_by_client", "tenant", "client_id"),
    Index("gateway_smart_grants_by_time", "ends_us"),
)
"""What a physician, or the operator for a backend service, let a client do: the family of all
tokens that come of it. Scopes and context are sealed. `session_hash` ties `online_access`."""

SMART_CODES = Table(
    "gateway_smart_codes",
    metadata,
    _key("code_hash", 64),
    _text("grant_id", 32),
    _text("client_id", 64),
    _text("redirect_uri", 2048),
    _text("challenge", 64),
    _time("expires_us"),
    _time("used_us"),
    Index("gateway_smart_codes_by_time", "expires_us"),
)

SMART_TOKENS = Table(
    "gateway_smart_tokens",
    metadata,
    _key("token_hash", 64),
    _text("grant_id", 32),
    Column("refresh", Boolean, nullable=False),
    _time("issued_us"),
    _time("expires_us"),
    _time("used_us"),
    _sealed(),
    Index("gateway_smart_tokens_by_grant", "grant_id"),
    Index("gateway_smart_tokens_by_time", "expires_us"),
)
"""Access and refresh tokens, their scope sealed; a used refresh token stays, so that its second
use is seen."""

SMART_ASSERTIONS = Table(
    "gateway_smart_assertions",
    metadata,
    _key("client_id", 64),
    _key("jti_hash", 64),
    _time("expires_us"),
    Index("gateway_smart_assertions_by_time", "expires_us"),
)
"""Client assertions that were used, until they expire."""

SMART_KEYS = Table(
    "gateway_smart_keys",
    metadata,
    _key("kid", 64),
    Column("public", Text, nullable=False),
    _time("created_us"),
    _time("until_us"),
    _sealed(),
)
"""Keys that sign id_tokens; `until_us` is 0 while a key signs, else when it leaves the set."""
