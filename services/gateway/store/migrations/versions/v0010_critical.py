"""Critical results that were told ahead of the report, and who read them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table."""
    table = "gateway_critical"
    op.create_table(
        table,
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("part_id", sa.String(64), nullable=False),
        sa.Column("about_hash", sa.String(64), nullable=False),
        sa.Column("same_hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("found_us", sa.BigInteger(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=False),
        sa.Column("read_us", sa.BigInteger(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("escalations", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("gateway_critical_by_case", table, ["tenant", "case_id"])
    op.create_index("gateway_critical_by_about", table, ["tenant", "about_hash"])
    op.create_index("gateway_critical_by_same", table, ["tenant", "same_hash"])
    op.create_index("gateway_critical_by_due", table, ["state", "next_us"])
