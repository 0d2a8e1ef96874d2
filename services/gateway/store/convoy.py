"""Writers of one tenant that wait for one another share a transaction and its commit.

A commit waits for the disk, longer than what is committed took to write. So a writer whose
turn it is goes on in the transaction of the one before, under a savepoint of its own, and each
is told when the commit of all is done. A writer that fails takes back its own part alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store import sql
from services.gateway.store.database import TURN_S, Database
from services.kernel.errors import Unavailable

T = TypeVar("T")
MEMBERS_MAX, OPEN_S = 64, 0.05
"""Writers of one commit; seconds after which no further one is let in."""


class _Journey:
    """One transaction, from its beginning to its commit."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.began = monotonic()
        self.members = 0
        self.committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.connection: AsyncConnection


class Convoy:
    """The writers of one tenant in this process, one after another."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._journey: _Journey | None = None
        self._kept: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def join(self) -> AsyncIterator[AsyncConnection]:
        """Run the body in its turn; return when what it wrote is committed."""
        await self._wait()
        boarding = self._keep(self._board())
        try:
            journey = await asyncio.shield(boarding)
        except asyncio.CancelledError:
            self._keep(self._give_up(boarding))
            raise
        failed = True
        try:
            yield journey.connection
            failed = False
        finally:
            # Who asked may have gone away: the transaction must not be left half ended.
            await asyncio.shield(self._keep(self._leave(journey, failed=failed)))
        await asyncio.shield(journey.committed)

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run to the end whatever becomes of the one who began it."""
        task = asyncio.create_task(work)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(TURN_S):
                await self._turn.acquire()
        except BaseException as error:
            # The one before may have left the commit to this one.
            self._keep(self._close())
            if isinstance(error, TimeoutError):
                message = "the tenant's writers have been busy for too long"
                raise Unavailable(message) from error
            raise
        finally:
            self._waiting -= 1

    async def _close(self) -> None:
        """Commit what nobody goes on with."""
        async with self._turn:
            if self._journey is not None and not self._waiting:
                await self._end(self._journey, None)

    async def _board(self) -> _Journey:
        """Begin a transaction, or a savepoint in the one that is open."""
        try:
            if self._journey is not None:
                await sql.fetch(self._journey.connection, sql.SAVEPOINT)
                return self._journey
            journey = _Journey()
            journey.connection = await journey.stack.enter_async_context(self._db.begin())
            self._journey = journey
            return journey
        except BaseException as error:
            if self._journey is not None and isinstance(error, Exception):
                await self._end(self._journey, error)
            self._turn.release()
            raise

    async def _give_up(self, boarding: asyncio.Task[_Journey]) -> None:
        try:
            journey = await boarding
        except Exception:  # noqa: BLE001 - it let go of its turn itself
            return
        await self._leave(journey, failed=True)

    async def _leave(self, journey: _Journey, *, failed: bool) -> None:
        """End the turn: take back what failed, commit unless another goes on."""
        try:
            if failed and not journey.members:
                await self._end(journey, LookupError("rolled back"))
                return
            if journey.members:
                ending = sql.ROLLBACK_TO if failed else sql.RELEASE
                await sql.fetch(journey.connection, ending)
            journey.members += not failed
            late = monotonic() - journey.began > OPEN_S
            if not self._waiting or late or journey.members >= MEMBERS_MAX:
                await self._end(journey, None)
        except Exception as error:  # noqa: BLE001 - each member is told, and answers it
            await self._end(journey, error)
        finally:
            self._turn.release()

    async def _end(self, journey: _Journey, error: Exception | None) -> None:
        """Commit, or roll back for an error; tell every member."""
        self._journey = None
        try:
            suppressed = type(error) if error else None
            await journey.stack.__aexit__(suppressed, error, None)
        except Exception as problem:  # noqa: BLE001 - told to the members
            error = error or problem
        if journey.committed.done():
            return
        if error is None:
            journey.committed.set_result(None)
        else:
            journey.committed.set_exception(error)
            journey.committed.exception()  # members that failed themselves do not ask
