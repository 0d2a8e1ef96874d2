"""The ingest service's tables. The tenant is in every row; times are µs since 1970 UTC.

UIDs and identifiers stand here as keyed hashes, what must be read back is encrypted.
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
    UniqueConstraint,
    text,
)

metadata = MetaData()

SCOPES = Table(
    "ingest_scopes",
    metadata,
    Column("scope", String(96), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("study_key", String(64), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("touched_us", BigInteger, nullable=False, index=True),
    Index("ingest_scopes_by_case", "tenant", "case_id"),
    Index("ingest_scopes_by_study", "tenant", "study_key"),
    Index(
        "ingest_scopes_one_open",
        "tenant",
        "study_key",
        unique=True,
        sqlite_where=text("is_open AND study_key <> ''"),
        postgresql_where=text("is_open AND study_key <> ''"),
    ),
)
"""A key scope of the intake: one upload of a study, or one submission (no `study_key`).

Open until a case takes it (`case_id`), or until it is about to be destroyed. A study has one
open upload at most: what arrives after a case took it begins another, with a key of its own.
`changes` counts instances, so that a case takes exactly what it has seen.
"""

INSTANCES = Table(
    "ingest_instances",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("scope", String(96), nullable=False),
    Column("sop_key", String(64), nullable=False),
    Column("content_key", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("scope", "sop_key"),
    Index("ingest_instances_by_sop", "tenant", "sop_key"),
)
"""`sealed`: an IntakeInstance under the scope's key."""

CASES = Table(
    "ingest_cases",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("case_id", String(36), primary_key=True),
    Column("content_key", String(64), nullable=False),
    Column("is_stopped", Boolean, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)
"""`sealed`: the SubmitCaseResponse of the first submission, under the tenant's key."""

SUBMISSIONS = Table(
    "ingest_submissions",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("submission_key", String(64), primary_key=True),
    Column("case_id", String(36), nullable=False),
)
"""What makes a submission the same: keyed hashes of its identifier and of its content."""

OUTBOX = Table(
    "ingest_outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("message_id", String(256), nullable=False, unique=True),
    Column("tenant", String(128), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("trace", String(256), nullable=False),
    Index("ingest_outbox_by_case", "tenant", "case_id"),
)
"""`case.received` events until the bus has them; `trace`: W3C traceparent of the submission."""

STUDIES = Table(
    "ingest_case_studies",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("study_key", String(64), primary_key=True),
    Column("case_id", String(36), nullable=False),
    Column("supplements", Integer, nullable=False),
    Column("since_us", BigInteger, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    Index("ingest_case_studies_by_case", "tenant", "case_id"),
)
"""The case that a study's late images belong to: the last that named it. `sealed`: its UID."""

TAKEN = Table(
    "ingest_taken",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("case_id", String(36), primary_key=True),
    Column("sop_key", String(64), primary_key=True),
)
"""Instances that a case has had: one that comes again is not late, it awaits another order."""

ORIGINALS = Table(
    "ingest_originals",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("case_id", String(36), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)
"""What a case was made of where that was no FHIR, under a key that lives as long as the case.

`sealed`: an Original, under the tenant's key.
"""

RESULTS = Table(
    "ingest_results",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("tenant", String(128), nullable=False),
    Column("case_id", String(36), nullable=False),
    Column("result_key", String(64), nullable=False),
    Column("place_key", String(64), nullable=False),
    Column("value_key", String(64), nullable=False),
    Column("reference_key", String(64), nullable=False),
    Column("status", String(20), nullable=False),
    Column("since_us", BigInteger, nullable=False, index=True),
    Index("ingest_results_by_key", "tenant", "result_key"),
    Index("ingest_results_by_case", "tenant", "case_id"),
)
"""Results of accepted cases, by which a later one is known to correct them: keyed hashes alone."""

WAITING = Table(
    "ingest_waiting",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("case_id", String(36), primary_key=True),
    Column("since_us", BigInteger, nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("trace", String(256), nullable=False),
)
"""Accepted cases whose images are still arriving. `sealed`: the BlobRef of the Bundle."""
