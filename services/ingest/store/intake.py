"""The intake: instances kept for a case to come, gathered for it, and destroyed.

A blob is written before its row, so a row never lacks its bytes; a blob without a row is
harmless, as its scope is in the table of scopes before its key exists, and is destroyed with
it. A study refers to a key scope of its own per upload, so a study that comes again after its
intake was destroyed begins under a new key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dxmesh.ingest.v1.ingest_service_pb2 import StoredInstance
from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeInstance

from services.ingest.dicom import Header
from services.ingest.store.cases import Claim
from services.ingest.store.keeping import Arrived, Keeping, OtherContent, context
from services.ingest.store.uploads import Held, UploadStore
from services.kernel.blobs import Blobs
from services.kernel.errors import KeyDestroyed, NotFound

log = logging.getLogger(__name__)


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
        self._keeping = Keeping(blobs, uploads, now)

    async def keep(self, tenant: str, arrived: Arrived) -> StoredInstance:
        """Keep an instance until a case refers to its study.

        Raises
        ------
        OtherContent
            The same instance is here with other bytes.
        Unavailable
            A store is away, or the study is taken and destroyed again and again.
        """
        (kept,) = await self.keep_all(tenant, [arrived])
        if isinstance(kept, OtherContent):
            raise kept
        return kept

    async def keep_all(
        self, tenant: str, arrived: Sequence[Arrived]
    ) -> list[StoredInstance | OtherContent]:
        """Keep instances that came together; return what became of each, in order.

        Raises
        ------
        Unavailable
            As `keep`; some of them may be kept.
        """
        outcomes = await self._keeping.keep(tenant, arrived)
        return [
            outcome
            if isinstance(outcome, OtherContent)
            else StoredInstance(
                study_instance_uid=each.header.study,
                series_instance_uid=each.header.series,
                sop_class_uid=each.header.sop_class,
                sop_instance_uid=each.header.sop_instance,
                duplicate=outcome,
            )
            for each, outcome in zip(arrived, outcomes, strict=True)
        ]

    async def holds(self, tenant: str, sop: str) -> bool:
        """Tell whether an instance is here and can be read."""
        sop_key = (await self.blobs.vault.hasher(tenant))("instance", sop)
        return any(await self._keeping.standing(tenant, [sop_key]))

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
        return await self._keeping.is_alive(tenant, scope)

    async def _copy(self, tenant: str, study: str, scope: str) -> bool:
        """Copy what another case holds into the open upload: that case's key may die any time.

        False when it is gone already. Where two cases hold an instance with different content,
        which a race alone can do, one of both is copied; what the upload has stays.
        """
        try:
            for held in await self.uploads.of_scope(tenant, scope):
                instance = await self._opened(tenant, held)
                content = await self.blobs.get(tenant, instance.blob)
                series, sop = instance.series_instance_uid, instance.sop_instance_uid
                header = Header(study, series, "", sop)
                arrived = Arrived(header, instance.blob.sha256, content)
                (kept,) = await self._keeping.keep(tenant, [arrived], copies=True)
                if isinstance(kept, OtherContent):
                    log.warning("an instance of a case is here with other content as well")
        except (KeyDestroyed, NotFound):
            return False
        return True

    async def _opened(self, tenant: str, held: Held) -> IntakeInstance:
        cipher = await self.blobs.vault.scope_cipher(tenant, held.scope)
        return IntakeInstance.FromString(
            cipher.decrypt(held.sealed, context(held.scope, held.sop_key))
        )
