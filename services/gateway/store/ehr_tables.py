"""Tables of EHR launches and of what is written back. Times are µs since 1970 UTC (`_us`)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from services.gateway.store.tables import metadata


def _key(name: str, length: int) -> Column[str]:
    return Column(name, String(length), primary_key=True)


def _text(name: str, length: int) -> Column[str]:
    return Column(name, String(length), nullable=False)


def _time(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


EHR_STATES = Table(
    "gateway_ehr_states",
    metadata,
    _key("state_hash", 64),
    _text("tenant", 64),
    _text("ehr", 32),
    _time("created_us"),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_ehr_states_by_time", "created_us"),
)
"""Launches on their way through the EHR's authorization server; each is taken once."""

EHR_LAUNCHES = Table(
    "gateway_ehr_launches",
    metadata,
    _key("launch_id", 32),
    _text("tenant", 64),
    _text("ehr", 32),
    _text("patient_hash", 64),
    _text("token_hash", 64),
    _text("reviewer", 256),
    _text("csrf", 64),
    _time("created_us"),
    _time("seen_us"),
    _time("ended_us"),
    _time("refreshing_us"),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_ehr_launches_by_patient", "tenant", "patient_hash", "created_us"),
    Index("gateway_ehr_launches_by_time", "created_us"),
)
"""Sessions opened by an EHR; patient, user and tokens are sealed.

`ended_us` is 0 while the page's session lasts; the tokens outlive it, for writing back.
`refreshing_us` is until when one process alone refreshes the tokens.
"""

EHR_CASES = Table(
    "gateway_ehr_cases",
    metadata,
    _key("tenant", 64),
    _key("case_id", 64),
    _text("ehr", 32),
    _text("patient_hash", 64),
    _text("state", 16),
    _time("wanted_us"),
    _time("written_us"),
    _time("since_us"),
    _time("next_us"),
    _time("lease_us"),
    Column("attempts", Integer, nullable=False),
    _text("reason", 64),
    _time("created_us"),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_ehr_cases_by_due", "state", "next_us"),
    Index("gateway_ehr_cases_by_patient", "tenant", "patient_hash"),
)
"""Cases that belong to a patient of an EHR, and how far writing the signed report back is.

`wanted_us` is the time of the last signature, `written_us` that of the signature the EHR has;
`since_us` is when the writing of this signature began to be tried.
"""
