"""Fakes for tests: a bus in memory, and blobs and keys in memory (real encryption)."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

from google.protobuf.message import Message
from obstore.store import MemoryStore

from services.kernel.blobs import Blobs
from services.kernel.consumer import Handler, OnDead
from services.kernel.crypto import Vault
from services.kernel.errors import MeshError
from services.kernel.subjects import Topic


class MemoryBus:
    """A bus that hands each event to its handlers at once, and keeps what was published.

    Ids are honoured: an event published again under its id is dropped, as JetStream does.
    """

    def __init__(self) -> None:
        self._events: dict[str, list[Message]] = defaultdict(list)
        self._handlers: dict[str, list[tuple[Handler[Any], OnDead[Any] | None]]] = defaultdict(list)
        self._ids: set[tuple[str, str]] = set()
        self.dead: list[tuple[Message, MeshError]] = []

    async def publish(self, topic: Topic, event: Message, *, message_id: str) -> None:
        """Keep the event and hand it on."""
        if (topic.stream, message_id) in self._ids:
            return
        self._ids.add((topic.stream, message_id))
        self._events[topic.name].append(event)
        for handler, on_dead in self._handlers[topic.name]:
            try:
                await handler(event)
            except MeshError as error:
                if on_dead:
                    await on_dead(event, error)
                self.dead.append((event, error))

    async def consume(
        self,
        topic: Topic,
        handler: Handler[Any],
        *,
        concurrency: int = 1,
        on_dead: OnDead[Any] | None = None,
    ) -> None:
        """Hand later events of the topic to `handler`."""
        self._handlers[topic.name].append((handler, on_dead))

    def published(self, topic: Topic) -> list[Any]:
        """Return the events of a topic, oldest first."""
        return list(self._events[topic.name])


def memory_blobs(zone: str = "analysis") -> Blobs:
    """Return blobs in memory under a fresh master key."""
    store = MemoryStore()
    return Blobs(store, Vault(store, os.urandom(32), zone))
