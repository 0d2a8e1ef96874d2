"""A service process from start to drain; each `__main__` is a `build` function for it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import uvloop

from services.kernel import subjects, telemetry
from services.kernel.bus import Bus
from services.kernel.rpc import Server
from services.kernel.settings import BadSettings, MeshSettings, load

log = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=MeshSettings)
SAMPLE_S = 5.0
RESTART_S = 2.0
GC_ALLOCATIONS = 5_000
"""Containers made, and not freed, between two looks of the collector; Python's own is 700."""


class Process(Generic[SettingsT]):
    """What a service is wired from: settings, bus, gRPC server, background work."""

    def __init__(self, name: str, settings: SettingsT, bus: Bus, server: Server) -> None:
        self.name = name
        self.settings = settings
        self.bus = bus
        self.server = server
        self._tasks: list[asyncio.Task[None]] = []
        self._closers: list[Callable[[], Awaitable[object]]] = []

    def background(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until the process stops; begin it again when it fails."""
        self._tasks.append(asyncio.create_task(_again(work)))

    def on_stop(self, closer: Callable[[], Awaitable[object]]) -> None:
        """Call `closer` when the process stops, last added first."""
        self._closers.append(closer)

    async def until_stopped(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain: health first, then bus, calls, the rest."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await self.server.start()
        self.background(self._sample)
        log.info("ready", extra={"facts": {"grpc_port": self.server.port}})
        await stopping.wait()
        log.info("draining")
        await asyncio.gather(self.server.stop(self.settings.drain_s), self.bus.drain())
        for task in self._tasks:
            task.cancel()
        for closer in reversed(self._closers):
            try:
                await closer()
            except Exception as error:  # noqa: BLE001 - the others must close too
                log.warning("something did not close: %s", telemetry.frames(error))

    async def _sample(self) -> None:
        """Record how much waits for this service."""
        while True:
            for topic in subjects.CONSUMES[self.name]:
                telemetry.queue_depth(f"{self.name}.{topic.name}", await self.bus.waiting(topic))
            await asyncio.sleep(SAMPLE_S)


def run(
    name: str,
    settings_class: type[SettingsT],
    build: Callable[[Process[SettingsT]], Awaitable[None]],
) -> None:
    """Read the settings, connect, build, serve. Exits 0 after a drain, 1 after an error.

    What it writes is readable by its own user alone.
    """
    os.umask(0o077)
    try:
        settings = load(settings_class, name, os.environ)
    except BadSettings as error:
        raise SystemExit(error.message) from None
    telemetry.start(name, settings.otlp_endpoint, settings.log_level)

    async def serve() -> None:
        bus = await Bus.connect(name, settings)
        process = Process(name, settings, bus, Server(name, settings))
        await build(process)
        _settle_memory()
        await process.until_stopped()

    try:
        uvloop.run(serve())
    except Exception as error:  # noqa: BLE001 - its text may quote a value
        log.critical("the process ends: %s", telemetry.frames(error))
        raise SystemExit(1) from None
    finally:
        telemetry.stop()


def _settle_memory() -> None:
    """Let the collector pass over what stays for the life of the process, and look less often.

    Modules and tables are hundreds of thousands of objects; looking through them again and
    again took a tenth of the processor time of a busy service.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 10, 10)


async def _again(work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
            return
        except Exception as error:  # noqa: BLE001 - logged, and the work begins again
            log.error("background work failed: %s", telemetry.frames(error))
            await asyncio.sleep(RESTART_S)
