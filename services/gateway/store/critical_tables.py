"""Table of critical results that were told. Times are µs since 1970 UTC (`_us`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from services.gateway.store.tables import key_column, metadata

CRITICAL = Table(
    "gateway_critical",
    metadata,
    key_column("tenant", 64),
    key_column("id", 64),
    Column("case_id", String(64), nullable=False),
    Column("part_id", String(64), nullable=False),
    Column("about_hash", String(64), nullable=False),
    Column("same_hash", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("found_us", BigInteger, nullable=False),
    Column("sent_us", BigInteger, nullable=False),
    Column("read_us", BigInteger, nullable=False),
    Column("next_us", BigInteger, nullable=False),
    Column("escalations", Integer, nullable=False),
    Index("gateway_critical_by_case", "tenant", "case_id"),
    Index("gateway_critical_by_about", "tenant", "about_hash"),
    Index("gateway_critical_by_same", "tenant", "same_hash"),
    Index("gateway_critical_by_due", "state", "next_us"),
)
"""One row per notice; what it says is in the Communication `id`, sealed as any resource.

`about_hash` is the keyed hash of patient and submitted result, `same_hash` that of patient,
what was measured of what specimen and when (empty where no time of day is stated), `found_us`
the time of the last event that spoke of it, `read_us` 0 until somebody read it, `next_us` when
it is told again.
"""

VOID = Table(
    "gateway_critical_void",
    metadata,
    key_column("tenant", 64),
    key_column("hash", 64),
    key_column("case_id", 64),
    Column("received_us", BigInteger, nullable=False),
    Column("noted_us", BigInteger, nullable=False),
)
"""What a case corrected, by `about_hash` or `same_hash`, or which of its parts was replaced.

Nothing is told any more of what an earlier case, or that part, says later. `received_us` is the
time of the case. Of a subject who withdrew: the hash of the subject, instead of the case the hash
of the consent's version, and the time of the withdrawal.
"""
