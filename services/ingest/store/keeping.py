"""A part of `intake`: keeping instances that arrived together, each once.

What several files need is done once for all of them: one look at what is here, one seal and
write for each upload, one transaction for their rows. A file that is alone is a group of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance

from services.ingest.dicom import Header
from services.ingest.store.spool import CHUNK, MEMORY_BYTES, Spool
from services.ingest.store.uploads import Added, Held, New, UploadStore
from services.kernel.blobs import Blobs
from services.kernel.crypto import KeyedHash
from services.kernel.errors import Conflict, KeyDestroyed, Unavailable

TRIES = 8


class OtherContent(Conflict):
    """An instance is here already, with other bytes; the first one stays."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An instance that was read and is to be kept."""

    header: Header
    sha256: str
    """Of its bytes, 64 hex digits."""
    content: bytes | Spool


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keyed hashes of an instance."""

    study: str
    sop: str
    content: str
    blob: str

    @classmethod
    def of(cls, each: Arrived, hasher: KeyedHash) -> _Keys:
        header = each.header
        sop = header.sop_instance
        return cls(
            study=hasher("study", header.study),
            sop=hasher("instance", sop),
            content=hasher("content", each.sha256),
            blob=hasher("blob", sop, each.sha256)[:40],
        )


Outcome = bool | OtherContent
"""Whether an instance was here before; or that it was, with other content."""


class Keeping:
    """Writes instances into open uploads."""

    def __init__(self, blobs: Blobs, uploads: UploadStore, now: Callable[[], datetime]) -> None:
        self._blobs = blobs
        self._uploads = uploads
        self._now = now

    async def keep(
        self, tenant: str, arrived: Sequence[Arrived], *, copies: bool = False
    ) -> list[Outcome]:
        """Keep each instance unless it is here; return what became of each, in order.

        Parameters
        ----------
        copies : they are copies of what a case holds, so that what cases hold is none of their
            concern; the open upload's content stays even so

        Raises
        ------
        Unavailable
            A store is away, or a study is taken and destroyed again and again.
        """
        hasher = await self._blobs.vault.hasher(tenant)
        keys = [_Keys.of(each, hasher) for each in arrived]
        found: dict[int, Outcome] = {}
        for _ in range(TRIES):
            left = [at for at in range(len(arrived)) if at not in found]
            standing = await self.standing(tenant, [keys[at].sop for at in left])
            was_there: dict[int, bool] = {}
            for at, rows in zip(left, standing, strict=True):
                held = [row for row in rows if row.is_open] if copies else rows
                outcome = _outcome(held, keys[at])
                if outcome is None:
                    was_there[at] = bool(rows)
                else:
                    found[at] = outcome
            for study in dict.fromkeys(keys[at].study for at in was_there):
                of_study = [at for at in was_there if keys[at].study == study]
                group = [(arrived[at], keys[at]) for at in of_study]
                added = await self._write(tenant, study, group)
                for at, each in zip(of_study, added, strict=True):
                    if each is Added.NEW:
                        found[at] = was_there[at]
            if len(found) == len(arrived):
                return [found[at] for at in range(len(arrived))]
        raise Unavailable("a study is taken while it arrives, again and again")

    async def standing(self, tenant: str, sop_keys: Sequence[str]) -> list[list[Held]]:
        """Return, by instance, the rows whose bytes can still be read; forget the others."""
        kept: list[list[Held]] = []
        asked = (self._uploads.of_instance(tenant, key) for key in sop_keys)
        for rows in await asyncio.gather(*asked):
            kept.append([])
            for held in rows:
                if held.is_open or await self.is_alive(tenant, held.scope):
                    kept[-1].append(held)
                else:
                    await self._uploads.forget(tenant, held.scope)
        return kept

    async def is_alive(self, tenant: str, scope: str) -> bool:
        """Tell whether a scope's key is there."""
        try:
            await self._blobs.vault.scope_key(tenant, scope)
        except KeyDestroyed:
            return False
        return True

    async def _write(
        self, tenant: str, study_key: str, group: Sequence[tuple[Arrived, _Keys]]
    ) -> list[Added]:
        """Write instances of one study: bytes first, rows after, so no row lacks its bytes."""
        scope = await self._uploads.open_upload(tenant, study_key, self._now())
        try:
            refs = await self._blobs_of(tenant, scope, group)
            cipher = await self._blobs.vault.scope_cipher(tenant, scope)
        except KeyDestroyed:
            await self._uploads.forget(tenant, scope)
            return [Added.CLOSED] * len(group)
        adding: list[Awaitable[Added]] = []
        now = self._now()
        for (each, keys), ref in zip(group, refs, strict=True):
            header = each.header
            instance = IntakeInstance(
                sop_instance_uid=header.sop_instance, series_instance_uid=header.series, blob=ref
            )
            sealed = cipher.encrypt(instance.SerializeToString(), context(scope, keys.sop))
            row = New(tenant, scope, keys.sop, keys.content, sealed, now)
            adding.append(self._uploads.add(row))
        return await asyncio.gather(*adding)

    async def _blobs_of(
        self, tenant: str, scope: str, group: Sequence[tuple[Arrived, _Keys]]
    ) -> list[BlobRef]:
        small = {
            keys.blob: (keys.blob, each.content, each.sha256)
            for each, keys in group
            if isinstance(each.content, bytes) and len(each.content) <= MEMORY_BYTES
        }
        refs = {}
        if small:
            written = await self._blobs.put_all(tenant, scope, list(small.values()))
            refs = {ref.name: ref for ref in written}
        for each, keys in group:
            if keys.blob not in refs:
                pieces = _pieces(each.content)
                refs[keys.blob] = await self._blobs.put_stream(tenant, scope, keys.blob, pieces)
        return [refs[keys.blob] for _, keys in group]


async def _pieces(content: bytes | Spool) -> AsyncIterator[bytes]:
    """Yield large content a MiB at a time, so that its sealed form is not held besides."""
    if isinstance(content, Spool):
        async for piece in content.pieces():
            yield piece
        return
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]


def _outcome(standing: Sequence[Held], keys: _Keys) -> Outcome | None:
    """Return what is to be said of an instance that is here; None when it is to be written."""
    if any(held.content_key != keys.content for held in standing):
        return OtherContent("this instance is here with other content; it is kept")
    return True if any(held.is_open for held in standing) else None


def context(scope: str, sop_key: str) -> str:
    """Return where a sealed instance stands."""
    return f"ingest_instances/{scope}/{sop_key}"
