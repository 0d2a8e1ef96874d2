"""Doing in one go what several ask for at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

AskedT = TypeVar("AskedT")
AnswerT = TypeVar("AnswerT")

MOST = 64


class Together(Generic[AskedT, AnswerT]):
    """Collects what is asked for while `work` is under way, and then does all of it at once.

    One that asks alone waits for nobody. `work` returns an answer for each, in order; an error
    of it is everybody's: it must have left nothing half done.
    """

    def __init__(self, work: Callable[[Sequence[AskedT]], Awaitable[Sequence[AnswerT]]]) -> None:
        self._work = work
        self._waiting: list[tuple[AskedT, asyncio.Future[AnswerT]]] = []
        self._running: asyncio.Task[None] | None = None

    async def do(self, asked: AskedT) -> AnswerT:
        """Return the answer for what is asked, once the work that holds it is done."""
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, answer))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers = await self._work([asked for asked, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is raised where it was asked
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
