"""The DICOM objects of every case: kept in an index, read from their blobs, given their identity.

The way back of a case is asked for once and kept for a minute, so that a viewer that asks for
a hundred frames does not ask anonymization a hundred times, and a case that was destroyed is
gone soon.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from pydicom.dataset import FileDataset

from services.gateway.call import Peers
from services.gateway.commit import identity as parsed
from services.gateway.dicomweb import entries, identity, indexing
from services.gateway.dicomweb.frames import Tables
from services.gateway.restore import Identity
from services.gateway.store.dicom import DicomIndex, Instance, Series, Study
from services.kernel import telemetry
from services.kernel.blobs import Blobs
from services.kernel.errors import Damaged, KeyDestroyed, MeshError, NotFound
from services.kernel.pieces import BlobReader

log = logging.getLogger(__name__)

CASES_KEPT, KEPT_S = 64, 60.0
NOTED_S, NOTED_KEPT = 300.0, 4096
LOOK_S = 5.0
HELD_S, HELD_CASES = 30.0, 16
HEADS_KEPT, HEAD_FRAMES, HEAD_BYTES = 16, 8, 16 << 20
"""Heads of objects of many frames are kept: a slide's takes as long to read as all its tile."""
Who = tuple[str, ...]
"""Tenant, account, client and series."""


@dataclass(frozen=True, slots=True)
class Held:
    """The images of one case."""

    series: list[Series]
    studies: list[Study]


class Archive:
    """What DICOMweb and the viewer read from."""

    def __init__(
        self,
        index: DicomIndex,
        peers: Peers,
        analysis: Blobs,
        made: Blobs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        entries.quieten()
        self.index = index
        self._peers = peers
        self._analysis = analysis
        self._made = made
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[float, Identity]] = OrderedDict()
        self._busy = asyncio.Lock()
        self._heads: OrderedDict[tuple[str, str, str], FileDataset] = OrderedDict()
        self._held: OrderedDict[tuple[str, str], tuple[float, Held]] = OrderedDict()
        self._noted: OrderedDict[Who, float] = OrderedDict()
        self.tables = Tables()

    async def identity_of(self, tenant: str, case_id: str) -> Identity:
        """Return who a case is about, and what its UIDs stand for.

        Raises
        ------
        NotFound, KeyDestroyed, Unavailable
        """
        key, now = (tenant, case_id), self._clock()
        kept = self._known.get(key)
        if kept and now - kept[0] < KEPT_S:
            self._known.move_to_end(key)
            return kept[1]
        found = parsed(await self._peers.reidentify(tenant, case_id))
        self._known[key] = (now, found)
        self._known.move_to_end(key)
        while len(self._known) > CASES_KEPT:
            self._known.popitem(last=False)
        return found

    async def reader(self, tenant: str, series: Series, instance: Instance) -> BlobReader:
        """Return the blob that an instance lies in.

        Raises
        ------
        NotFound, KeyDestroyed, Unavailable
        """
        blobs, scope = self._analysis, series.case_id
        if series.made:
            blobs, scope = self._made, indexing.made_scope(series.case_id)
        try:
            return await blobs.open(tenant, scope, instance.blob)
        except KeyDestroyed:
            await self.index.forget(tenant, series.case_id)
            raise

    async def head(
        self,
        tenant: str,
        series: Series,
        instance: Instance,
        reader: BlobReader,
        *,
        whose: bool = True,
    ) -> FileDataset:
        """Return an instance up to its pixels, with identity; all of it when it has none.

        `whose=False`: identity may be missing, as pictures and frames say nothing of it.
        """
        key = (tenant, series.case_id, instance.uid)
        whose = whose or instance.frames >= HEAD_FRAMES  # it is kept for both uses
        if kept := self._heads.get(key):
            self._heads.move_to_end(key)
            return kept
        dataset, _ = await entries.head(reader, entries.Place(instance.at, instance.size))
        if not series.made and whose:
            known = await self.identity_of(tenant, series.case_id)
            await asyncio.to_thread(identity.restore, dataset, known)
        if whose and instance.frames >= HEAD_FRAMES and instance.pixels <= HEAD_BYTES:
            self._heads[key] = dataset
            while len(self._heads) > HEADS_KEPT:
                self._heads.popitem(last=False)
        return dataset

    def pixels(self, instance: Instance, reader: BlobReader) -> AsyncIterator[bytes]:
        """Yield what follows the head: the pixels, and what stands after them."""
        start = instance.at + instance.pixels
        return reader.stream(start, instance.size - instance.pixels if instance.pixels else 0)

    def recent(self, tenant: str, case_id: str) -> Held | None:
        """Return the images of a case that the viewer asked for a moment ago, or None."""
        kept = self._held.get((tenant, case_id))
        return kept[1] if kept and self._clock() - kept[0] < HELD_S else None

    def remember(self, tenant: str, case_id: str, held: Held) -> None:
        """Keep them for the frames that follow."""
        self._held[tenant, case_id] = (self._clock(), held)
        self._held.move_to_end((tenant, case_id))
        while len(self._held) > HELD_CASES:
            self._held.popitem(last=False)

    def noted(self, who: Who) -> bool:
        """Tell whether it is in the audit trail that somebody looks at a series."""
        at = self._noted.get(who)
        return at is not None and self._clock() - at < NOTED_S

    def note(self, who: Who) -> None:
        """Remember that it is."""
        self._noted[who] = self._clock()
        self._noted.move_to_end(who)
        while len(self._noted) > NOTED_KEPT:
            self._noted.popitem(last=False)

    async def destroy(self, tenant: str, case_id: str) -> None:
        """Destroy what is here of a stopped case: objects made of it, and all that is known."""
        await self._made.destroy(tenant, indexing.made_scope(case_id))
        await self.index.forget(tenant, case_id)
        self._known.pop((tenant, case_id), None)
        self._held.pop((tenant, case_id), None)
        for key in [one for one in self._heads if one[:2] == (tenant, case_id)]:
            del self._heads[key]

    async def keep_indexing(self) -> None:
        """Index what was committed, until the process stops."""
        while True:
            await self.catch_up()
            await asyncio.sleep(LOOK_S)

    async def catch_up(self, tenant: str = "") -> None:
        """Index every committed case that is not indexed yet; cheap when there is none."""
        if not await self.index.behind(tenant, 1):
            return
        async with self._busy:
            while waiting := await self.index.behind(tenant):
                for of_tenant, case_id, version in waiting:
                    await self.add(of_tenant, case_id, version)

    async def add(self, tenant: str, case_id: str, version: int) -> None:
        """Index a case; what cannot be read for good is left out and counted."""
        try:
            found = await self._found(tenant, case_id)
        except (KeyDestroyed, NotFound):
            await self.index.put(tenant, case_id, version, [], [])
            return
        if found.unreadable:
            facts = {"case": case_id, "files": found.unreadable}
            log.warning("files of a case cannot be served", extra={"facts": facts})
        await self.index.put(tenant, case_id, version, found.summed(), found.series())

    async def _found(self, tenant: str, case_id: str) -> indexing.Found:
        names = await self._analysis.names(tenant, case_id)
        received = [name for name in names if indexing.RECEIVED.fullmatch(name)]
        made = await self._made.names(tenant, indexing.made_scope(case_id))
        known = await self.identity_of(tenant, case_id) if received or made else None
        if known is None:
            raise NotFound("the case has no images")
        found = indexing.Found(case_id, known)
        for name in sorted(received):
            await self._try(found, self._analysis, tenant, case_id, name)
        for name in sorted(one for one in made if one.endswith(indexing.MADE)):
            await self._try(found, self._made, tenant, indexing.made_scope(case_id), name)
        return found

    async def _try(
        self, found: indexing.Found, blobs: Blobs, tenant: str, scope: str, name: str
    ) -> None:
        read = indexing.read_made if blobs is self._made else indexing.read_received
        try:
            await read(found, await blobs.open(tenant, scope, name), name)
        except (Damaged, NotFound) as error:
            found.unreadable += 1
            log.warning("an archive cannot be served: %s", error.reason)
        except MeshError:
            raise
        except Exception as error:  # noqa: BLE001 - one archive must not end every search
            found.unreadable += 1
            log.error("an archive cannot be read: %s", telemetry.frames(error))
            telemetry.failure("gateway.dicom-index", type(error).__name__)
