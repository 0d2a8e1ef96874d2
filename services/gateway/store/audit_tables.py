"""Tables of the audit trail; times are microseconds since 1970 UTC (`_us`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, text

from services.gateway.store.tables import metadata

JOURNAL = Table(
    "gateway_journal",
    metadata,
    Column(
        "id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("tenant", String(64), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("event", String(36), nullable=False),
    Column("settled", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_journal_by_tenant", "tenant", "id"),
    Index("gateway_journal_by_time", "tenant", "time_us"),
    Index(
        "gateway_journal_open",
        "tenant",
        "id",
        sqlite_where=text("settled = 0"),
        postgresql_where=text("settled = 0"),
    ),
)
"""One row per interaction, sealed; `event` is the id of its AuditEvent, `settled` 1 when the
FHIR store has that."""
