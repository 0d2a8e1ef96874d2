"""Pulling from several durable consumers, most pressing first, so that nothing is lost.

Used by `kernel.consumer` alone. Every request names one inbox that stays subscribed, for a
message that NATS sent to an inbox that is gone would wait for its ack wait. A request can
not be taken back, so what arrives while nothing is wanted goes back to NATS at once: a busy
worker holds nothing that another replica could do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

log = logging.getLogger(__name__)

WAIT_S = 1.0
PAUSE_S = 0.5
NOTHING_THERE, NOTHING_CAME = "404", "408"


class Puller:
    """Asks for one message at a time; `durables` are in order, most pressing first."""

    def __init__(self, nats: Client, stream: str, durables: list[str]) -> None:
        self._nats = nats
        self._stream = stream
        self._durables = durables
        self._inbox = nats.new_inbox()
        self._subscription: Subscription | None = None
        self._open: dict[int, float] = {}
        """Durables asked and until when an answer can come, in loop time."""
        self._found: list[Msg] = []
        self._changed = asyncio.Event()
        self._wanted = self._stopping = False

    async def next(self) -> list[Msg]:
        """Return the most pressing message there is; else wait for any.

        More than one comes back when several arrive together; none when it stops.
        """
        if self._subscription is None:
            self._subscription = await self._nats.subscribe(f"{self._inbox}.*", cb=self._arrived)
        self._wanted = True
        try:
            for rank in range(len(self._durables)):
                await self._look(rank)
            while not self._found and not self._stopping:
                for rank in range(len(self._durables)):
                    await self._ask(rank, {"expires": int(WAIT_S * 1e9)})
                await self._change()
        finally:
            self._wanted = False
            found, self._found = self._found, []
        return sorted(found, key=self._rank)

    async def stop(self) -> None:
        """Make `next` return, and give back whatever the open requests still bring."""
        self._stopping = True
        self._changed.set()
        while self._open and self._nats.is_connected:
            await self._change()

    async def _look(self, rank: int) -> None:
        """See whether a message waits there; where a request is open, it would have come."""
        if self._found or self._stopping or rank in self._open:
            return
        await self._ask(rank, {"no_wait": True})
        while rank in self._open and not self._found and not self._stopping:
            await self._change()

    async def _ask(self, rank: int, terms: dict[str, object]) -> None:
        if rank in self._open:
            return
        self._open[rank] = asyncio.get_running_loop().time() + WAIT_S + PAUSE_S
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durables[rank]}"
        request = json.dumps({"batch": 1, **terms}).encode()
        await self._nats.publish(subject, request, reply=f"{self._inbox}.{rank}")

    async def _change(self) -> None:
        """Wait until something arrived, or the answer to the oldest request is overdue."""
        now = asyncio.get_running_loop().time()
        limit = max(min(self._open.values(), default=now) - now, 0.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), limit)
        self._changed.clear()
        now = asyncio.get_running_loop().time()
        self._open = {rank: until for rank, until in self._open.items() if until > now}

    async def _arrived(self, message: Msg) -> None:
        if not message.reply:  # a status: no message from this durable
            status = (message.headers or {}).get("Status", "")
            if status not in (NOTHING_THERE, NOTHING_CAME):
                log.warning("the bus refused a request: status %s", status)
                await asyncio.sleep(PAUSE_S)
            self._open.pop(int(message.subject.rsplit(".", 1)[1]), None)
        else:
            self._open.pop(self._rank(message), None)
            if self._wanted:
                self._found.append(message)
            else:
                await give_back(message)
        self._changed.set()

    def _rank(self, message: Msg) -> int:
        return self._durables.index(message.metadata.consumer)


async def give_back(message: Msg) -> None:
    """Let another replica take a message now; nothing was done with it."""
    try:
        await message.nak()
    except (NatsError, OSError) as error:
        log.warning("a message goes back after its ack wait: %s", type(error).__name__)
