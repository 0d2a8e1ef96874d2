"""The reporting service's tables. The tenant is in every key; times are µs since 1970 UTC.

Analysis zone: pseudonyms and outcomes, no identity. Findings and reports are blobs.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()


def _case_key() -> list[Column[str]]:
    return [
        Column("tenant", String(64), primary_key=True),
        Column("case_id", String(64), primary_key=True),
    ]


CASES = Table(
    "reporting_cases",
    metadata,
    *_case_key(),
    Column("due_us", BigInteger, nullable=False),
    Column("deidentified", LargeBinary, nullable=True),
    Column("waiting", Boolean, nullable=False),
    Column("stopped", Boolean, nullable=False),
    Index("reporting_cases_due", "waiting", "due_us"),
)
"""`deidentified` is the CaseDeidentified event; `waiting`: it is there, a version is not."""

ENDINGS = Table(
    "reporting_endings",
    metadata,
    *_case_key(),
    Column("part_id", String(128), primary_key=True),
    Column("outcome", String(16), primary_key=True),
    Column("event", LargeBinary, nullable=False),
)
"""The first FindingReady of each part and outcome."""

VERSIONS = Table(
    "reporting_versions",
    metadata,
    *_case_key(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("included", Text, nullable=False),
    Column("composed_us", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False, index=True),
    Column("findings", Text, nullable=False),
    Column("signed_us", BigInteger, nullable=False),
    Column("signer", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("amendment", Boolean, nullable=False),
)
"""A version is claimed first, so that replicas compose it from the same endings and time.

`included`: JSON, part id → outcome. `findings`: JSON, id → [model name, model version].
`signed_us` is 0 until it is signed.
"""

OUTBOX = Table(
    "reporting_outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("message_id", String(256), nullable=False, unique=True),
    Column("tenant", String(64), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("topic", String(32), nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index("reporting_outbox_by_case", "tenant", "case_id"),
)
"""Events written with the change they announce; a row goes when the bus has its event."""
