"""The gateway's tables. Times are microseconds since 1970 UTC (`_us`)."""

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


def _key(name: str, length: int) -> Column[str]:
    return Column(name, String(length), primary_key=True)


RESOURCES = Table(
    "gateway_resources",
    metadata,
    _key("tenant", 64),
    _key("type", 64),
    _key("id", 64),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("case_id", String(64), nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""One row per version, never changed."""

CURRENT = Table(
    "gateway_current",
    metadata,
    _key("tenant", 64),
    _key("type", 64),
    _key("id", 64),
    Column("version", Integer, nullable=False),
    Column("case_id", String(64), nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Index("gateway_current_by_time", "tenant", "type", "updated_us", "id"),
    Index("gateway_current_by_case", "tenant", "case_id"),
)
"""Which version is current, and the keyed hash of its content."""

SEARCH = Table(
    "gateway_search",
    metadata,
    _key("tenant", 64),
    _key("type", 64),
    _key("param", 32),
    _key("value", 256),
    _key("id", 64),
    Index("gateway_search_by_resource", "tenant", "type", "id"),
)
"""Search values of the current version; those that could identify as keyed hashes."""

CASES = Table(
    "gateway_cases",
    metadata,
    _key("tenant", 64),
    _key("case_id", 64),
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
    _key("tenant", 64),
    _key("case_id", 64),
    _key("step", 64),
    Column("state", String(16), nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    Column("reason", String(64), nullable=False),
)

COMPOSED = Table(
    "gateway_composed",
    metadata,
    _key("tenant", 64),
    _key("case_id", 64),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("composed_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""Each composed version of a report with identity restored: what a signature is put under."""

REVIEWS = Table(
    "gateway_reviews",
    metadata,
    _key("tenant", 64),
    _key("case_id", 64),
    _key("request_id", 64),
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
    _key("tenant", 64),
    _key("case_id", 64),
    _key("reviewer", 128),
    Column("version", Integer, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

SESSIONS = Table(
    "gateway_sessions",
    metadata,
    _key("token_hash", 64),
    Column("tenant", String(64), nullable=False),
    Column("reviewer", String(128), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
)

SIGN_INS = Table(
    "gateway_sign_ins",
    metadata,
    _key("name_hash", 64),
    Column("failures", Integer, nullable=False),
    Column("blocked_until_us", BigInteger, nullable=False),
)
"""Failed sign-ins by keyed hash of the name that was tried."""

SUBJECTS = Table(
    "gateway_subjects",
    metadata,
    _key("tenant", 64),
    _key("reference_hash", 64),
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
