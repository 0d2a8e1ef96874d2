"""The gateway's tables of cases, reports and people; `metadata` holds those of every module.

Times are microseconds since 1970 UTC (`_us`). A change here needs a migration: see
`migrations/__init__.py`.
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
)

metadata = MetaData()


def key_column(name: str, length: int) -> Column[str]:
    """Return a text column of the primary key."""
    return Column(name, String(length), primary_key=True)


CASES = Table(
    "gateway_cases",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    Column("status", String(32), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("message", String(512), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("language", Integer, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("subject_key", String(128), nullable=False),
    Column("report_version", Integer, nullable=False),
    Column("signed_version", Integer, nullable=False),
    Column("held_version", Integer, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("label", LargeBinary, nullable=True),
    Index("gateway_cases_by_time", "tenant", "received_us"),
    Index("gateway_cases_by_subject", "tenant", "subject_key"),
)
"""Where each case stands; `label` is what the worklist shows of the patient, sealed."""

STEPS = Table(
    "gateway_steps",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    key_column("step", 64),
    Column("state", String(16), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    Column("reason", String(64), nullable=False),
)

COMPOSED = Table(
    "gateway_composed",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("composed_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Each composed version of a report with identity restored: what a signature is put under."""

REVIEWS = Table(
    "gateway_reviews",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    key_column("request_id", 64),
    Column("version", Integer, nullable=False),
    Column("signer", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("signed_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Verdicts as they were signed; `signed_us` is 0 until the signature is confirmed."""

DRAFTS = Table(
    "gateway_drafts",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    key_column("reviewer", 128),
    Column("version", Integer, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

SESSIONS = Table(
    "gateway_sessions",
    metadata,
    key_column("token_hash", 64),
    Column("tenant", String(64), nullable=False),
    Column("reviewer", String(128), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)

SIGN_INS = Table(
    "gateway_sign_ins",
    metadata,
    key_column("name_hash", 64),
    Column("failures", Integer, nullable=False),
    Column("blocked_until_us", BigInteger, nullable=False),
)
"""Failed sign-ins by keyed hash of the name that was tried."""

SUBJECTS = Table(
    "gateway_subjects",
    metadata,
    key_column("tenant", 64),
    key_column("reference_hash", 64),
    Column("subject_key", String(128), nullable=False),
)
"""Keyed hash of a Patient reference or identifier → the subject as consent knows it."""

AUDIT = Table(
    "gateway_audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(64), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("agent", String(128), nullable=False),
    Column("role", String(32), nullable=False),
    Column("action", String(32), nullable=False),
    Column("resource", String(192), nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("succeeded", Boolean, nullable=False),
    Index("gateway_audit_by_time", "tenant", "time_us"),
)
