"""Export jobs; times are microseconds since 1970 UTC (`_us`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from services.gateway.store.tables import key_column, metadata

EXPORTS = Table(
    "gateway_exports",
    metadata,
    key_column("tenant", 64),
    key_column("id", 64),
    Column("owner", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("transaction_us", BigInteger, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("progress", LargeBinary, nullable=False),
    Index("gateway_exports_by_status", "status", "created_us"),
)
"""`owner`: keyed hash of the account and its client. `sealed`: what was asked for and the rights
it is answered under; `progress`: types, places and file names, no identity."""
