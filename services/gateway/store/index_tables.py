"""Tables of the search index; what stands in them: docs/adr/0013."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table

from services.gateway.store.tables import key_column, metadata

TERMS = Table(
    "gateway_terms",
    metadata,
    key_column("tenant", 64),
    Column("term", LargeBinary(16), primary_key=True),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Index("gateway_terms_by_key", "tenant", "key"),
    sqlite_with_rowid=False,
)
"""A resource (its `key`) is found by a term: 16 bytes of a keyed hash."""

RANGES = Table(
    "gateway_ranges",
    metadata,
    key_column("tenant", 64),
    Column("term", LargeBinary(16), primary_key=True),
    Column("low", BigInteger, primary_key=True, autoincrement=False),
    Column("high", BigInteger, primary_key=True, autoincrement=False),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Index("gateway_ranges_by_high", "tenant", "term", "high", "low", "key"),
    Index("gateway_ranges_by_key", "tenant", "key", "term", "low", "high"),
    sqlite_with_rowid=False,
)
"""A resource has a value between `low` and `high`, µs or an ordered number, under a term."""
