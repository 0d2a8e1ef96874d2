"""The search index: keyed terms and ranges of every current resource."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make them; they are filled when the gateway starts (`store.refilling`).

    What they replace held some values as they were written.
    """
    op.drop_table("gateway_search")
    op.create_table(
        "gateway_terms",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("term", sa.LargeBinary(16), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "term", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("gateway_terms_by_key", "gateway_terms", ["tenant", "key"])
    op.create_table(
        "gateway_ranges",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("term", sa.LargeBinary(16), nullable=False),
        sa.Column("low", sa.BigInteger(), nullable=False),
        sa.Column("high", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "term", "low", "high", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "gateway_ranges_by_high", "gateway_ranges", ["tenant", "term", "high", "low", "key"]
    )
    op.create_index(
        "gateway_ranges_by_key", "gateway_ranges", ["tenant", "key", "term", "low", "high"]
    )
