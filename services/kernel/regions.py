"""Memory shared with Triton: regions that it has mapped once and that calls borrow in turn.

Used by `kernel.inference` alone. A region loses its name in /dev/shm as soon as Triton has
mapped it, so nothing is left there however this process ends. What a killed process still had
mapped in Triton is taken away by the next one that starts: an owner is alive while its abstract
Unix socket is bound, which holds for whatever shares memory and loopback with Triton, a pod too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import mmap
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt

FOLDER = Path("/dev/shm")  # noqa: S108 - where shm_open has its names on Linux, shm_overview(7)
PREFIX = "dxmesh"
STEP_BYTES = 1 << 20
ALIGN_BYTES = 64
INLINE_BYTES = 4 << 20
"""Copied at once; more is copied in a thread, so that the loop goes on."""
IDLE_MAX = 4
LEAVING_MAX = 64


@dataclass(slots=True)
class Region:
    """One piece of memory, known to Triton by its name."""

    name: str
    buffer: mmap.mmap

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.buffer)

    def view(self, dtype: npt.DTypeLike, shape: tuple[int, ...], place: int) -> npt.NDArray[Any]:
        """Return the tensor that lies at `place`, bytes from the beginning."""
        return np.ndarray(shape, dtype, self.buffer, place)

    async def lay(self, value: npt.NDArray[Any], place: int) -> None:
        """Copy a tensor to `place`."""
        target = self.view(value.dtype, value.shape, place)
        if value.nbytes <= INLINE_BYTES:
            np.copyto(target, value)
        else:
            await asyncio.to_thread(np.copyto, target, value)


def places_of(sizes: Iterable[int]) -> list[int]:
    """Return where each tensor of `sizes` bytes begins, and last where the region ends."""
    return [0, *itertools.accumulate(-(-size // ALIGN_BYTES) * ALIGN_BYTES for size in sizes)]


class Regions:
    """Lends regions to calls; keeps at most `IDLE_MAX` that nobody uses."""

    def __init__(self, client: Any, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._owner = uuid4().hex[:12]
        self._alive = socket.socket(socket.AF_UNIX)
        self._alive.bind(_address(self._owner))
        self._numbers = itertools.count()
        self._idle: list[Region] = []
        self._leaving: deque[str] = deque(maxlen=LEAVING_MAX)
        self._swept = False

    @contextlib.asynccontextmanager
    async def lent(self, size: int) -> AsyncIterator[Region]:
        """Lend a region of at least `size` bytes for one call.

        After an error the region is not lent again: Triton may still read or write it.

        Raises
        ------
        OSError
            There is no room for it.
        tritonclient.utils.InferenceServerException
            Triton does not take it.
        """
        region = await self._take(size)
        try:
            yield region
        except BaseException:
            self._leaving.append(region.name)
            raise
        self._idle.append(region)
        if len(self._idle) > IDLE_MAX:
            self._idle.sort(key=lambda each: each.size)
            self._leaving.append(self._idle.pop(0).name)

    def forget(self) -> None:
        """Lend none of the present regions again: a Triton that was restarted has none."""
        self._leaving.extend(region.name for region in self._idle)
        self._idle.clear()

    async def close(self) -> None:
        """Take every region away from Triton."""
        self.forget()
        await self._let_go()
        self._alive.close()

    async def _take(self, size: int) -> Region:
        if not self._swept:
            self._swept = True
            await self._sweep()
        if self._leaving:
            await self._let_go()
        fitting = [region for region in self._idle if region.size >= size]
        if not fitting:
            return await self._make(-(-size // STEP_BYTES) * STEP_BYTES)
        smallest = min(fitting, key=lambda each: each.size)
        self._idle.remove(smallest)
        return smallest

    async def _make(self, size: int) -> Region:
        name = f"{PREFIX}_{self._owner}_{next(self._numbers)}"
        path = FOLDER / name
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # a full /dev/shm fails here, not in a write
            region = Region(name, mmap.mmap(descriptor, size))
            await self._client.register_system_shared_memory(
                name, f"/{name}", size, client_timeout=self._timeout_s
            )
        except BaseException:
            self._leaving.append(name)
            raise
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
        return region

    async def _let_go(self) -> None:
        """Take regions away from Triton; one that a call still holds is tried again later."""
        leaving = list(self._leaving)
        self._leaving.clear()
        for name in leaving:
            if not await self._taken_away(name):
                self._leaving.append(name)

    async def _sweep(self) -> None:
        """Take away what processes left that are no more."""
        from tritonclient.utils import InferenceServerException

        names = _present()
        with contextlib.suppress(InferenceServerException):
            status = await self._client.get_system_shared_memory_status(
                client_timeout=self._timeout_s
            )
            names.update(status.regions)
        for name in _orphans(names):
            (FOLDER / name).unlink(missing_ok=True)
            await self._taken_away(name)

    async def _taken_away(self, name: str) -> bool:
        from tritonclient.utils import InferenceServerException

        try:
            await self._client.unregister_system_shared_memory(name, client_timeout=self._timeout_s)
        except InferenceServerException:
            return False
        return True


def _present() -> set[str]:
    return {path.name for path in FOLDER.iterdir()}


def _orphans(names: set[str]) -> Iterator[str]:
    """Yield the names whose owner is no more."""
    owners: dict[str, bool] = {}
    for name in names:
        prefix, _, rest = name.partition("_")
        owner = rest.partition("_")[0]
        if prefix != PREFIX or not owner:
            continue
        if owner not in owners:
            owners[owner] = _lives(owner)
        if not owners[owner]:
            yield name


def _lives(owner: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(_address(owner))
        except OSError:
            return True
    return False


def _address(owner: str) -> str:
    """Return a name in Linux's abstract namespace, which the kernel frees with its process."""
    return f"\0{PREFIX}-{owner}"
