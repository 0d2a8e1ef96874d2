"""Tables of resources: every version, which one is current, and what it is found by."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
)

from services.gateway.store.tables import key_column, metadata

TENANTS = Table(
    "gateway_tenants",
    metadata,
    key_column("tenant", 64),
    Column("seq", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("indexed", Integer, nullable=False),
)
"""One row per tenant: who holds it may write. The last number given and its time; `indexed`
is the version of the rules that the search index was filled by (0: not yet)."""

RESOURCES = Table(
    "gateway_resources",
    metadata,
    key_column("tenant", 64),
    key_column("type", 64),
    key_column("id", 64),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("method", String(8), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("owned", Boolean, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_resources_by_seq", "tenant", "seq", unique=True),
    Index("gateway_resources_by_type", "tenant", "type", "seq"),
)
"""One row per version, never changed. `seq` counts a tenant's versions without a gap, in the
order they were committed; `key` is the `seq` of the resource's first version; `method` is what
made the version (POST, PUT, DELETE); `sealed` is empty for a deletion."""

CURRENT = Table(
    "gateway_current",
    metadata,
    key_column("tenant", 64),
    key_column("type", 64),
    key_column("id", 64),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("key", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("owned", Boolean, nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Index("gateway_current_by_key", "tenant", "key", unique=True),
    Index("gateway_current_by_type", "tenant", "type", "key"),
    Index("gateway_current_by_time", "tenant", "type", "updated_us", "id"),
    Index("gateway_current_by_case", "tenant", "case_id"),
    sqlite_with_rowid=False,
)
"""Which version is current, and the keyed hash of its content. `owned`: made by the mesh."""
