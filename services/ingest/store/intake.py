"""The intake: instances kept for a case to come, gathered for it, and destroyed.

A blob is written before its row, so a row never lacks its bytes; a blob without a row is
harmless, as its scope is in the table of scopes before its key exists, and is destroyed with
it. A study refers to a key scope of its own per upload, so a study that comes again after its
intake was destroyed begins under a new key.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.ingest.v1.ingest_service_pb2 import StoredInstance
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance

from services.ingest.dicom import Header
from services.ingest.store.cases import Claim
from services.ingest.store.spool import Spool
from services.ingest.store.uploads import Added, Held, UploadStore
from services.kernel.blobs import Blobs
from services.kernel.errors import Conflict, KeyDestroyed, NotFound, Unavailable

log = logging.getLogger(__name__)

TRIES = 8


class OtherContent(Conflict):
    """An instance is here already, with other bytes; the first one stays."""


class AlreadyTaken(Exception):
    """The case that is being submitted has taken the study already."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A study's instances for one case."""

    instances: list[IntakeInstance]
    claims: list[Claim]
    were_used: bool
    """An earlier case has taken instances of it that are gone by now."""
    last: datetime | None
    """When the newest of them came."""


class Intake:
    """Blobs of the identity zone and the rows that name them."""

    def __init__(self, blobs: Blobs, uploads: UploadStore, now: Callable[[], datetime]) -> None:
        self.blobs = blobs
        self.uploads = uploads
        self._now = now

    async def keep(self, tenant: str, header: Header, spool: Spool) -> StoredInstance:
        """Keep an instance until a case refers to its study.

        Raises
        ------
        OtherContent
            The same instance is here with other bytes.
        Unavailable
            A store is away, or the study is taken and destroyed again and again.
        """

        async def write(scope: str, name: str) -> BlobRef:
            if (whole := spool.in_memory()) is not None:
                return await self.blobs.put(tenant, scope, name, whole)
            return await self.blobs.put_stream(tenant, scope, name, spool.pieces())

        ids = (header.study, header.series, header.sop_instance)
        was_there = await self._keep(tenant, ids, spool.sha256, write)
        return StoredInstance(
            study_instance_uid=header.study,
            series_instance_uid=header.series,
            sop_class_uid=header.sop_class,
            sop_instance_uid=header.sop_instance,
            duplicate=was_there,
        )

    async def holds(self, tenant: str, sop: str) -> bool:
        """Tell whether an instance is here and can be read."""
        sop_key = (await self.blobs.vault.hasher(tenant))("instance", sop)
        return bool(await self._standing(tenant, sop_key))

    async def gather(self, tenant: str, study: str, case_id: str) -> Gathered:
        """Return a study's instances for a case: its open upload, with those of other cases.

        Raises
        ------
        AlreadyTaken
        """
        study_key = (await self.blobs.vault.hasher(tenant))("study", study)
        were_used = False
        for upload in await self.uploads.of_study(tenant, study_key):
            if upload.case_id == case_id:
                raise AlreadyTaken
            if upload.case_id:
                were_used |= not await self._copy(tenant, study, upload.scope)
        found: list[IntakeInstance] = []
        claims: list[Claim] = []
        last: datetime | None = None
        for upload in await self.uploads.of_study(tenant, study_key):
            if upload.is_open and upload.changes:  # one without instances is not in a manifest
                held = await self.uploads.of_scope(tenant, upload.scope)
                try:
                    found += [await self._opened(tenant, each) for each in held]
                except KeyDestroyed:  # the sweep of another process was faster
                    await self.uploads.forget(tenant, upload.scope)
                    continue
                claims.append(Claim(upload.scope, upload.changes))
                last = upload.touched
        return Gathered(found, claims, were_used and not found, last)

    async def of_upload(self, tenant: str, scope: str) -> list[IntakeInstance]:
        """Return the instances of one upload, in the order received."""
        held = await self.uploads.of_scope(tenant, scope)
        return [await self._opened(tenant, each) for each in held]

    async def discard_study(self, tenant: str, study: str) -> None:
        """Destroy what was uploaded of a study and no case has taken."""
        study_key = (await self.blobs.vault.hasher(tenant))("study", study)
        for upload in await self.uploads.of_study(tenant, study_key):
            if await self.uploads.close(tenant, upload.scope):
                await self.destroy(tenant, upload.scope)

    async def destroy(self, tenant: str, scope: str) -> None:
        """Destroy a scope's key and bytes, then its rows; safe to repeat."""
        await self.blobs.destroy(tenant, scope)
        await self.uploads.forget(tenant, scope)

    async def is_alive(self, tenant: str, scope: str) -> bool:
        """Tell whether a scope's key is there."""
        try:
            await self.blobs.vault.scope_key(tenant, scope)
        except KeyDestroyed:
            return False
        return True

    async def _keep(
        self,
        tenant: str,
        ids: tuple[str, str, str],
        sha256: str,
        write: Callable[[str, str], Awaitable[BlobRef]],
    ) -> bool:
        """Write an instance unless it is there; tell whether it was there before."""
        study, series, sop = ids
        hasher = await self.blobs.vault.hasher(tenant)
        sop_key, content_key = hasher("instance", sop), hasher("content", sha256)
        name = hasher("blob", sop, sha256)[:40]
        for _ in range(TRIES):
            was_there = False
            for held in await self._standing(tenant, sop_key):
                if held.content_key != content_key:
                    raise OtherContent("this instance is here with other content; it is kept")
                if held.is_open:
                    return True
                was_there = True
            scope = await self.uploads.open_upload(tenant, hasher("study", study), self._now())
            try:
                ref = await write(scope, name)
                instance = IntakeInstance(
                    sop_instance_uid=sop, series_instance_uid=series, blob=ref
                )
                cipher = await self.blobs.vault.scope_cipher(tenant, scope)
            except KeyDestroyed:
                await self.uploads.forget(tenant, scope)
                continue
            sealed = cipher.encrypt(instance.SerializeToString(), _context(scope, sop_key))
            row = (tenant, scope, sop_key, content_key, sealed)
            if await self.uploads.add(*row, self._now()) is Added.NEW:
                return was_there
        raise Unavailable("a study is taken while it arrives, again and again")

    async def _standing(self, tenant: str, sop_key: str) -> list[Held]:
        """Return an instance's rows whose bytes can still be read; forget the others."""
        found: list[Held] = []
        for held in await self.uploads.of_instance(tenant, sop_key):
            if held.is_open or await self.is_alive(tenant, held.scope):
                found.append(held)
            else:
                await self.uploads.forget(tenant, held.scope)
        return found

    async def _copy(self, tenant: str, study: str, scope: str) -> bool:
        """Copy what another case holds into the open upload: that case's key may die any time.

        False when it is gone already.
        """
        try:
            for held in await self.uploads.of_scope(tenant, scope):
                instance = await self._opened(tenant, held)
                content = await self.blobs.get(tenant, instance.blob)

                async def write(target: str, name: str, content: bytes = content) -> BlobRef:
                    return await self.blobs.put(tenant, target, name, content)

                ids = (study, instance.series_instance_uid, instance.sop_instance_uid)
                await self._keep(tenant, ids, instance.blob.sha256, write)
        except (KeyDestroyed, NotFound):
            return False
        return True

    async def _opened(self, tenant: str, held: Held) -> IntakeInstance:
        cipher = await self.blobs.vault.scope_cipher(tenant, held.scope)
        return IntakeInstance.FromString(
            cipher.decrypt(held.sealed, _context(held.scope, held.sop_key))
        )


def _context(scope: str, sop_key: str) -> str:
    return f"ingest_instances/{scope}/{sop_key}"
