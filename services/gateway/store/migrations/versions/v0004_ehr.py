"""Tables of launches by an EHR and of reports written back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _time(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _sealed() -> sa.Column[bytes]:
    return sa.Column("sealed", sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _launches()
    _cases()


def _launches() -> None:
    op.create_table(
        "gateway_ehr_states",
        _text("state_hash", 64),
        _text("tenant", 64),
        _text("ehr", 32),
        _time("created_us"),
        _sealed(),
        sa.PrimaryKeyConstraint("state_hash"),
    )
    op.create_index("gateway_ehr_states_by_time", "gateway_ehr_states", ["created_us"])
    table = "gateway_ehr_launches"
    op.create_table(
        table,
        _text("launch_id", 32),
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
        _sealed(),
        sa.PrimaryKeyConstraint("launch_id"),
    )
    op.create_index(f"{table}_by_patient", table, ["tenant", "patient_hash", "created_us"])
    op.create_index(f"{table}_by_time", table, ["created_us"])


def _cases() -> None:
    table = "gateway_ehr_cases"
    op.create_table(
        table,
        _text("tenant", 64),
        _text("case_id", 64),
        _text("ehr", 32),
        _text("patient_hash", 64),
        _text("state", 16),
        *(_time(name) for name in ("wanted_us", "written_us", "since_us", "next_us", "lease_us")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _text("reason", 64),
        _time("created_us"),
        _sealed(),
        sa.PrimaryKeyConstraint("tenant", "case_id"),
    )
    op.create_index(f"{table}_by_due", table, ["state", "next_us"])
    op.create_index(f"{table}_by_patient", table, ["tenant", "patient_hash"])
