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
RETURN_S = 0.1
"""How long NATS may take to offer a message again that was given back."""
NOTHING_THERE, NOTHING_CAME = "404", "408"


class Puller:
    """Asks for as many messages as are wanted; `durables` are in order, most pressing first.

    Requests to the more pressing durables stay open, so that each is looked at once a second
    and not before every message of a less pressing one.
    """

    def __init__(self, nats: Client, stream: str, durables: list[str]) -> None:
        self._nats = nats
        self._stream = stream
        self._durables = durables
        self._inbox = nats.new_inbox()
        self._subscription: Subscription | None = None
        self._open: dict[int, float] = {}
        """Durables asked and until when an answer can come, in loop time."""
        self._due: dict[int, int] = {}
        """Messages that may still come from each durable asked."""
        self._returned: dict[int, float] = {}
        """Durables whose last message went back, and until when it may be on its way, loop time."""
        self._found: list[Msg] = []
        self._changed = asyncio.Event()
        self._wanted = self._stopping = False

    async def next(self, count: int) -> list[Msg]:
        """Return the most pressing messages there are, up to `count`; else wait for any.

        More come back when several arrive together; none when it stops.
        """
        if self._subscription is None:
            self._subscription = await self._nats.subscribe(f"{self._inbox}.*", cb=self._arrived)
        self._wanted = True
        *pressing, last = range(len(self._durables))
        try:
            for rank in pressing:
                await self._look(rank, count)
                if not self._found:  # it would come while the next is looked at, and later
                    await self._wait_for(rank)
            await self._look(last, count)
            while not self._found and not self._stopping:
                for rank in (*pressing, last):
                    await self._wait_for(rank)
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

    async def _look(self, rank: int, count: int) -> None:
        """See which messages wait there; where a request is open, they would have come."""
        if self._found or self._stopping or rank in self._open:
            return
        back_soon = self._returned.pop(rank, 0.0) > asyncio.get_running_loop().time()
        terms: dict[str, object] = {"no_wait": True}
        if back_soon:
            terms = {"expires": int(RETURN_S * 1e9)}
        await self._ask(rank, 1 if back_soon else count, terms)
        while rank in self._open and not self._stopping:
            await self._change()

    async def _wait_for(self, rank: int) -> None:
        """Leave a request open for the next message."""
        if rank not in self._open and not self._stopping:
            await self._ask(rank, 1, {"expires": int(WAIT_S * 1e9)})

    async def _ask(self, rank: int, count: int, terms: dict[str, object]) -> None:
        self._open[rank] = asyncio.get_running_loop().time() + WAIT_S + PAUSE_S
        self._due[rank] = count
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._durables[rank]}"
        request = json.dumps({"batch": count, **terms}).encode()
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
            rank = self._rank(message)
            self._due[rank] = self._due.get(rank, 1) - 1
            if self._due[rank] <= 0:
                self._open.pop(rank, None)
            if self._wanted:
                self._found.append(message)
            else:
                self._returned[rank] = asyncio.get_running_loop().time() + RETURN_S
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
