"""Tables of subscriptions and of the journal of accesses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_PLACES = """
INSERT INTO gateway_journal (id, tenant, time_us, event, settled, sealed)
SELECT id, tenant, time_us, '', 0, x'' FROM gateway_audit ORDER BY id
"""


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
    _take_over()
    _subscriptions()


def _take_over() -> None:
    """Give each row of the trail before its place in the journal, under the same number.

    What they say needs a key to be sealed, so it is moved at start (`store.audit_before`).
    """
    postgresql = op.get_context().dialect.name == "postgresql"
    op.execute(_PLACES.replace("x''", "''::bytea") if postgresql else _PLACES)
    if postgresql:
        op.execute(
            "SELECT setval(pg_get_serial_sequence('gateway_journal', 'id'), "
            "(SELECT coalesce(max(id), 0) + 1 FROM gateway_journal), false)"
        )


def _subscriptions() -> None:
    op.create_table(
        "gateway_subscriptions",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("greeted", sa.Integer(), nullable=False),
        sa.Column("numbered", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_us", sa.BigInteger(), nullable=False),
        sa.Column("next_us", sa.BigInteger(), nullable=False),
        sa.Column("sent_us", sa.BigInteger(), nullable=False),
        sa.Column("heartbeat_s", sa.Integer(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_table(
        "gateway_subscription_events",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("subscription", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "subscription", "number"),
    )
    op.create_index(
        "gateway_subscription_events_by_time", "gateway_subscription_events", ["time_us"]
    )
    op.create_table(
        "gateway_subscription_marks",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
