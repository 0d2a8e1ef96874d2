"""The schema of the gateway, step by step: one file per step, in one line.

To add tables or columns:

1. Declare them in your own module beside `store/tables.py`, on its `metadata`, and see that
   `store/__init__.py` imports that module.
2. Write `versions/vNNNN_<what>.py` with `revision`, `down_revision` (the one before) and
   `upgrade()`. Spell every column out: a step must do the same for ever, whatever the metadata
   becomes. SQLite cannot alter a column, so use `op.batch_alter_table`. Data is moved in SQL
   that SQLite and PostgreSQL both know; what needs keys is done at start (`store.refilling`).
3. Never change a step that was released; there is no way down.

`tests/gateway/store/test_migrations.py` compares what the steps make with `metadata` on both
databases, so a forgotten column shows. The steps run at start, one process at a time.

| step | what |
|---|---|
| 0001 | the schema before there were migrations |
| 0002 | numbered versions, deletions, the tenant's lock |
| 0003 | SMART clients, codes, tokens, keys |
| 0004 | the launches of the SMART app, reports on their way to an EHR |
| 0005 | subscriptions, the journal of accesses |
| 0006 | exports, feedback to CDS Hooks |
| 0007 | the search index |
| 0008 | leases of background work |
| 0009 | DICOM studies, series and instances |
| 0010 | critical results that were told |
| 0011 | results that were corrected before they were told of |
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from services.kernel.database import upgrade_schema

VERSION_TABLE = "gateway_schema"


async def upgrade(engine: AsyncEngine, step: str = "head") -> None:
    """Bring the schema up to a step; waits for the database; safe to run at once twice."""
    await upgrade_schema(engine, Path(__file__).parent, VERSION_TABLE, step)
