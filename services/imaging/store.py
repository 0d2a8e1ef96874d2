"""What imaging keeps: series on disk while they are read, half-done work, and earlier studies.

Everything of a case is encrypted under the case's key in the analysis zone's blobs. Earlier
studies of a patient are found by an index under the pseudonym's own key, which holds dates
(as moved by de-identification) and references alone: when a case's key is destroyed, by a
withdrawn consent, its findings are no longer found as a prior study either.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import CaseRef
from dxmesh.imaging.v1.imaging_findings_pb2 import Function, ImagingFindings
from google.protobuf.message import DecodeError

from services.imaging.series.refusals import DamagedSeries
from services.kernel.blobs import Blobs
from services.kernel.errors import Damaged, InvalidInput, KeyDestroyed, NotFound

log = logging.getLogger(__name__)

PREFIX = "dxmesh-imaging-"
DECISIONS = "decisions/"
PRIORS_MAX = 8
"""Earlier studies that are looked at for one that the same reading has read."""


@dataclass(frozen=True, slots=True)
class Prior:
    """An earlier study of the same pseudonym."""

    findings: ImagingFindings
    days: int
    """From that study to this one."""


class ImagingStore:
    """Blobs and scratch space of the imaging service."""

    def __init__(self, blobs: Blobs, scratch: Path | None = None) -> None:
        self._blobs = blobs
        self._scratch = Path(scratch or tempfile.gettempdir())

    def sweep(self) -> None:
        """Remove what processes left on disk that are no more, or were this one's number."""
        for folder in self._scratch.glob(f"{PREFIX}*"):
            owner = folder.name.removeprefix(PREFIX).partition("-")[0]
            if owner == str(os.getpid()) or not Path(f"/proc/{owner}").exists():
                shutil.rmtree(folder, ignore_errors=True)

    @asynccontextmanager
    async def folder(self) -> AsyncIterator[Path]:
        """Lend a folder on disk, readable by this user alone; it is gone afterwards."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        lent = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=self._scratch))
        try:
            yield lent
        finally:
            await asyncio.to_thread(shutil.rmtree, lent, ignore_errors=True)

    async def fetch(self, tenant: str, ref: BlobRef, target: Path) -> None:
        """Write a series' archive to a file, holding about a megabyte in memory.

        Raises
        ------
        DamagedSeries
            It is gone, or not what was stored.
        KeyDestroyed, Unavailable
        """
        digest = hashlib.sha256()
        try:
            reader = await self._blobs.open(tenant, ref.scope, ref.name)
            with target.open("wb") as file:
                async for piece in reader.stream(0, reader.size):
                    await asyncio.to_thread(file.write, piece)
                    digest.update(piece)
        except (Damaged, NotFound) as error:
            raise DamagedSeries("the stored series is gone or damaged") from error
        if ref.sha256 and digest.hexdigest() != ref.sha256:
            raise DamagedSeries("the stored series is not the one that was announced")

    async def put(self, case: CaseRef, name: str, content: bytes) -> BlobRef:
        """Store content of a case."""
        return await self._blobs.put(case.tenant, case.case_id, name, content)

    async def keep_decisions(self, case: CaseRef, part_id: str, found: ImagingFindings) -> None:
        """Keep what was decided of each series, also when nothing was read."""
        kept = ImagingFindings(series=found.series, decisions=found.decisions)
        await self.put(case, f"{DECISIONS}{part_id}", kept.SerializeToString(deterministic=True))

    async def note_progress(self, case: CaseRef, part_id: str, reader: str, share: float) -> None:
        """Let others see how far a reading is; gone when the part is done."""
        await self.put(case, f"{_work(part_id)}progress-{reader}", f"{share:.2f}".encode())

    async def progress(self, tenant: str, case_id: str) -> list[tuple[str, str, float]]:
        """Return part, reader and share of the work done, of long readings that run."""
        found = []
        for name in await self._blobs.names(tenant, case_id):
            folder, _, reader = name.rpartition("/progress-")
            if folder.startswith("work/"):
                text = await self._blobs.get(tenant, BlobRef(scope=case_id, name=name))
                found.append((folder.removeprefix("work/"), reader, float(text)))
        return found

    async def explain(self, tenant: str, case_id: str) -> dict[str, ImagingFindings]:
        """Return by part id what was decided in a case: its series and decisions.

        Raises
        ------
        KeyDestroyed
        NotFound
        """
        names = await self._blobs.names(tenant, case_id)
        return {
            name.removeprefix(DECISIONS): ImagingFindings.FromString(
                await self._blobs.get(tenant, BlobRef(scope=case_id, name=name))
            )
            for name in sorted(names)
            if name.startswith(DECISIONS)
        }

    def checkpoint(self, case: CaseRef, part_id: str, *key: str) -> BlobCheckpoint:
        """Return where one reading leaves half-done work; `key` is what it is bound to."""
        bound = hashlib.sha256("\0".join(key).encode()).hexdigest()[:24]
        loop = asyncio.get_running_loop()
        return BlobCheckpoint(self._blobs, loop, case, f"{_work(part_id)}{bound}/")

    async def forget_work(self, case: CaseRef, part_id: str) -> None:
        """Remove a part's half-done work: it is done."""
        prefix = _work(part_id)
        for name in await self._blobs.names(case.tenant, case.case_id):
            if name.startswith(prefix):
                await self._blobs.delete(case.tenant, case.case_id, name)

    async def keep_for_later(
        self, case: CaseRef, part_id: str, pseudonym: str, acquired: Collection[str], ref: BlobRef
    ) -> None:
        """Let later studies of the pseudonym find these findings as a prior study."""
        days = sorted(day for day in acquired if _day(day))
        if not pseudonym or not days:
            return
        name = f"imaging/{days[0]}.{case.case_id}.{part_id}"
        await self._blobs.put(case.tenant, _subject(pseudonym), name, ref.SerializeToString())

    async def prior(
        self, case: CaseRef, pseudonym: str, acquired: str, function: Function.ValueType
    ) -> Prior | None:
        """Return the latest earlier study of the pseudonym that this reading has read."""
        today = _day(acquired)
        if not pseudonym or today is None:
            return None
        scope = _subject(pseudonym)
        try:
            names = await self._blobs.names(case.tenant, scope)
        except (KeyDestroyed, InvalidInput):
            return None
        earlier = [
            (day, name)
            for name in names
            if (day := _day(name.removeprefix("imaging/")[:8])) and day < today
        ]
        for day, name in sorted(earlier, reverse=True)[:PRIORS_MAX]:
            found = await self._earlier(case.tenant, scope, name)
            if found and any(answer.function == function for answer in found.answers):
                return Prior(found, (today - day).days)
        return None

    async def _earlier(self, tenant: str, scope: str, name: str) -> ImagingFindings | None:
        """Return an earlier study's findings; one whose case is gone is taken off the index."""
        try:
            entry = await self._blobs.get(tenant, BlobRef(scope=scope, name=name))
            ref = BlobRef.FromString(entry)
            return ImagingFindings.FromString(await self._blobs.get(tenant, ref))
        except (KeyDestroyed, NotFound):
            await self._blobs.delete(tenant, scope, name)
        except (Damaged, DecodeError):
            log.warning("an earlier study cannot be read: growth is not computed from it")
        return None


def tenant_tables(folder: Path | None) -> dict[str, str]:
    """Return each tenant's routing table: `<tenant>.toml` in a folder."""
    if folder is None:
        return {}
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.toml"))}


class BlobCheckpoint:
    """Half-done work in the case's blobs; fulfils `reading.Checkpoint` from a thread."""

    def __init__(
        self, blobs: Blobs, loop: asyncio.AbstractEventLoop, case: CaseRef, prefix: str
    ) -> None:
        self._blobs = blobs
        self._loop = loop
        self._case = case
        self._prefix = prefix

    def load(self, name: str) -> bytes | None:
        """Return what was saved under a name; None when nothing was, or it is damaged."""
        ref = BlobRef(scope=self._case.case_id, name=self._prefix + name)
        try:
            return asyncio.run_coroutine_threadsafe(
                self._blobs.get(self._case.tenant, ref), self._loop
            ).result()
        except (NotFound, Damaged):
            return None

    def save(self, name: str, content: bytes) -> None:
        """Keep content under a name."""
        put = self._blobs.put(self._case.tenant, self._case.case_id, self._prefix + name, content)
        asyncio.run_coroutine_threadsafe(put, self._loop).result()


def _work(part_id: str) -> str:
    return f"work/{part_id}/"


def _subject(pseudonym: str) -> str:
    return f"subject-{pseudonym}"


def _day(text: str) -> date | None:
    """Return a DICOM date, YYYYMMDD, or None."""
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
