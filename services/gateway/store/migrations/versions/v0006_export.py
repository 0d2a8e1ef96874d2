"""Tables of CDS Hooks and of bulk exports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    _hooks()
    _exports()


def _hooks() -> None:
    op.create_table(
        "gateway_hook_tokens",
        _text("token_hash", 64),
        _number("exp_s"),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index("gateway_hook_tokens_by_exp", "gateway_hook_tokens", ["exp_s"])
    op.create_table(
        "gateway_hook_cards",
        _text("tenant", 64),
        _text("card", 36),
        _text("service", 64),
        _text("topic", 64),
        _text("case_id", 64),
        _text("client", 64),
        _number("issued_us"),
        sa.PrimaryKeyConstraint("tenant", "card"),
    )
    op.create_index("gateway_hook_cards_by_time", "gateway_hook_cards", ["issued_us"])
    op.create_table(
        "gateway_hook_feedback",
        _text("tenant", 64),
        _text("card", 36),
        _number("at_us"),
        _text("service", 64),
        _text("topic", 64),
        _text("case_id", 64),
        _text("outcome", 16),
        _text("reason", 64),
        _number("received_us"),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "card", "at_us"),
    )


def _exports() -> None:
    op.create_table(
        "gateway_exports",
        _text("tenant", 64),
        _text("id", 64),
        _text("owner", 64),
        _text("status", 16),
        _number("seq"),
        _number("transaction_us"),
        _number("created_us"),
        _number("expires_us"),
        _text("reason", 64),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("progress", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("gateway_exports_by_status", "gateway_exports", ["status", "created_us"])
