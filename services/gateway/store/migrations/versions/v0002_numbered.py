"""Versions get a number in the order they were committed, resources a key, tenants a row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SENT = "'Patient','ServiceRequest','ImagingStudy','Encounter','Practitioner','Consent'"

_NUMBERS = """
UPDATE gateway_resources SET seq = n.seq
FROM (
  SELECT tenant, type, id, version, row_number() OVER (
    PARTITION BY tenant ORDER BY updated_us, type, id, version
  ) AS seq
  FROM gateway_resources
) AS n
WHERE gateway_resources.tenant = n.tenant AND gateway_resources.type = n.type
  AND gateway_resources.id = n.id AND gateway_resources.version = n.version
"""
_KEYS = """
UPDATE gateway_resources SET key = n.first
FROM (
  SELECT tenant, type, id, min(seq) AS first FROM gateway_resources GROUP BY tenant, type, id
) AS n
WHERE gateway_resources.tenant = n.tenant AND gateway_resources.type = n.type
  AND gateway_resources.id = n.id
"""
_OWNED = f"UPDATE gateway_resources SET owned = (type NOT IN ({SENT}))"  # noqa: S608 - a constant
_CURRENT = """
UPDATE gateway_current SET seq = n.seq, key = n.key, owned = n.owned
FROM gateway_resources AS n
WHERE gateway_current.tenant = n.tenant AND gateway_current.type = n.type
  AND gateway_current.id = n.id AND gateway_current.version = n.version
"""
_TENANTS = """
INSERT INTO gateway_tenants (tenant, seq, last_us, indexed)
SELECT tenant, max(seq), max(updated_us), 0 FROM gateway_resources GROUP BY tenant
"""


def upgrade() -> None:
    """Add the columns, number what is there, and keep the numbers unique."""
    op.create_table(
        "gateway_tenants",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("last_us", sa.BigInteger(), nullable=False),
        sa.Column("indexed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )
    added: dict[str, list[sa.Column[Any]]] = {
        "gateway_resources": [
            sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("key", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("method", sa.String(8), nullable=False, server_default="PUT"),
            sa.Column("owned", sa.Boolean(), nullable=False, server_default=sa.false()),
        ],
        "gateway_current": [
            sa.Column("seq", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("key", sa.BigInteger(), nullable=False, server_default="0"),
            sa.Column("deleted", sa.Boolean(), nullable=False, server_default=sa.false()),
            sa.Column("owned", sa.Boolean(), nullable=False, server_default=sa.false()),
        ],
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)
    for statement in (_NUMBERS, _KEYS, _OWNED, _CURRENT, _TENANTS):
        op.execute(statement)
    for table, columns in added.items():
        # SQLite makes the table anew, and then keeps the small one in its key's order.
        options = {"sqlite_with_rowid": table != "gateway_current"}
        with op.batch_alter_table(table, table_kwargs=options) as batch:
            for column in columns:
                batch.alter_column(column.name, server_default=None)
    op.create_index("gateway_resources_by_seq", "gateway_resources", ["tenant", "seq"], unique=True)
    op.create_index("gateway_resources_by_type", "gateway_resources", ["tenant", "type", "seq"])
    op.create_index("gateway_current_by_key", "gateway_current", ["tenant", "key"], unique=True)
    op.create_index("gateway_current_by_type", "gateway_current", ["tenant", "type", "key"])
