"""Leases: background work that replicas share is done by one of them at a time."""

from __future__ import annotations

import uuid

from sqlalchemy import BigInteger, Column, String, Table, or_
from sqlalchemy.dialects import postgresql, sqlite

from services.gateway.store.database import Database
from services.gateway.store.tables import key_column, metadata

LEASES = Table(
    "gateway_leases",
    metadata,
    key_column("name", 64),
    Column("holder", String(64), nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
"""Who does a task, and until when unless they say so again."""


class Leases:
    """The leases of one process; each process is a holder of its own.

    Clocks of the replicas may differ by less than the length of a lease.
    """

    def __init__(self, database: Database) -> None:
        self._db = database
        self._holder = str(uuid.uuid4())

    async def hold(self, name: str, seconds: float) -> bool:
        """Take or renew a lease for so long; False: somebody else has it."""
        now = self._db.now_us()
        until = now + int(seconds * 1_000_000)
        dialect = postgresql if self._db.engine.dialect.name == "postgresql" else sqlite
        query = dialect.insert(LEASES).values(name=name, holder=self._holder, until_us=until)
        free = or_(LEASES.c.holder == self._holder, LEASES.c.until_us < now)
        query = query.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": self._holder, "until_us": until},
            where=free,
        )
        async with self._db.begin() as connection:
            taken = (await connection.execute(query.returning(LEASES.c.name))).first()
        return taken is not None

    async def release(self, name: str) -> None:
        """Give a lease back, so that another need not wait for its end."""
        mine = (LEASES.c.name == name) & (LEASES.c.holder == self._holder)
        async with self._db.begin() as connection:
            await connection.execute(LEASES.delete().where(mine))
