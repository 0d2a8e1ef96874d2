"""Tables of the SMART server: clients, launches, grants, codes, tokens, assertions, keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _long(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _time(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _sealed() -> sa.Column[bytes]:
    return sa.Column("sealed", sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _clients()
    _grants()
    _tokens()


def _clients() -> None:
    op.create_table(
        "gateway_smart_clients",
        _text("client_id", 64),
        _text("tenant", 64),
        _long("document"),
        _time("created_us"),
        _time("revoked_us"),
        _text("secret_hash", 64),
        _text("old_secret_hash", 64),
        _time("old_secret_until_us"),
        sa.PrimaryKeyConstraint("client_id"),
    )
    _index("clients", "tenant", ["tenant", "created_us"])
    op.create_table(
        "gateway_smart_assertions",
        _text("client_id", 64),
        _text("jti_hash", 64),
        _time("expires_us"),
        sa.PrimaryKeyConstraint("client_id", "jti_hash"),
    )
    _index("assertions", "time", ["expires_us"])
    op.create_table(
        "gateway_smart_keys",
        _text("kid", 64),
        _long("public"),
        _time("created_us"),
        _time("until_us"),
        _sealed(),
        sa.PrimaryKeyConstraint("kid"),
    )


def _grants() -> None:
    op.create_table(
        "gateway_smart_launches",
        _text("launch_hash", 64),
        _text("tenant", 64),
        _text("client_id", 64),
        _time("expires_us"),
        _time("used_us"),
        _sealed(),
        sa.PrimaryKeyConstraint("launch_hash"),
    )
    _index("launches", "time", ["expires_us"])
    op.create_table(
        "gateway_smart_grants",
        _text("grant_id", 32),
        _text("tenant", 64),
        _text("client_id", 64),
        _text("account", 128),
        _text("session_hash", 64),
        _time("created_us"),
        _time("ends_us"),
        _time("revoked_us"),
        _text("reason", 32),
        _sealed(),
        sa.PrimaryKeyConstraint("grant_id"),
    )
    _index("grants", "client", ["tenant", "client_id"])
    _index("grants", "time", ["ends_us"])


def _tokens() -> None:
    op.create_table(
        "gateway_smart_codes",
        _text("code_hash", 64),
        _text("grant_id", 32),
        _text("client_id", 64),
        _text("redirect_uri", 2048),
        _text("challenge", 64),
        _time("expires_us"),
        _time("used_us"),
        sa.PrimaryKeyConstraint("code_hash"),
    )
    _index("codes", "time", ["expires_us"])
    op.create_table(
        "gateway_smart_tokens",
        _text("token_hash", 64),
        _text("grant_id", 32),
        sa.Column("refresh", sa.Boolean(), nullable=False),
        _time("issued_us"),
        _time("expires_us"),
        _time("used_us"),
        _sealed(),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    _index("tokens", "grant", ["grant_id"])
    _index("tokens", "time", ["expires_us"])


def _index(table: str, by: str, columns: list[str]) -> None:
    name = f"gateway_smart_{table}"
    op.create_index(f"{name}_by_{by}", name, columns)
