"""Tables of subscriptions and of the journal of accesses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "gateway_journal",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(36), nullable=False),
        sa.Column("settled", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("gateway_journal_by_tenant", "gateway_journal", ["tenant", "id"])
    op.create_index("gateway_journal_by_time", "gateway_journal", ["tenant", "time_us"])
    where = sa.text("settled = 0")
    op.create_index(
        "gateway_journal_open",
        "gateway_journal",
        ["tenant", "id"],
        sqlite_where=where,
        postgresql_where=where,
    )
