"""Where earlier results are kept: one document per patient in the zone's blobs.

The scope is `history.<pseudonym>.<n>`; its key dies when the patient withdraws, and the next
results begin scope n + 1. Versions of the document are names that are made once: of two replicas
that add a part at the same time one wins and the other adds its part to what that one wrote. The
rows of a part are sealed again under a key that comes from its case's key, so they die with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.subject_forgotten_pb2 import SubjectForgotten

from services.kernel.blobs import Blobs
from services.kernel.crypto import FieldCipher, KeyedHash
from services.kernel.errors import Conflict, Damaged, KeyDestroyed, NotFound, Unavailable
from services.labs.history import document
from services.labs.history.document import Bounds, Head, Kept
from services.labs.history.past import NOTHING, Past
from services.labs.history.rows import Place, Row

TRIES = 20
SCOPES_MAX = 1000
"""Withdrawals of one patient."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """A patient's document as it was read."""

    tenant: str
    scope: str
    number: int
    """Its version; 0: there is none yet."""
    forgotten: datetime
    """What cases received until then hold is not kept."""
    parts: tuple[Kept, ...]


class History:
    """Earlier results of patients, by pseudonym."""

    def __init__(self, blobs: Blobs, bounds: Bounds) -> None:
        self._blobs = blobs
        self._bounds = bounds

    async def page(self, part: PartReady) -> Page | None:
        """Return the document of a part's patient; None: the part may not be kept.

        Raises
        ------
        Unavailable
        """
        permitted = part.keep_history and bool(part.subject_pseudonym)
        if not permitted or not self._bounds.per_analyte:
            return None
        page = await self._open(part.case.tenant, part.subject_pseudonym)
        return None if received(part) <= page.forgotten else page

    def before(self, page: Page | None, part: PartReady) -> Past:
        """Return the results of cases that were received before a part's."""
        if page is None:
            return NOTHING
        start = received(part)
        parts = [each for each in page.parts if each.received < start]
        return Past(row for each in parts for row in each.rows)

    async def keep(
        self, page: Page | None, part: PartReady, rows: Iterable[Row], gone: Iterable[Place]
    ) -> None:
        """Keep the results of a part; a repeat changes nothing.

        Raises
        ------
        Unavailable
            Other replicas were faster again and again, or the store is away.
        """
        new = Kept(part.case.case_id, part.part_id, received(part), tuple(rows), tuple(gone))
        for _ in range(TRIES):
            if page is None or new.received <= page.forgotten:
                return
            parts = document.merged(page.parts, new, self._bounds, datetime.now(UTC))
            if parts == list(page.parts) or await self._write(replace(page, parts=tuple(parts))):
                return
            page = await self._open(page.tenant, part.subject_pseudonym)
        raise Unavailable("the results of one patient are kept too often at once")

    async def forget(self, event: SubjectForgotten) -> None:
        """Destroy what is kept of a patient from cases received until the withdrawal.

        A repeat, or an older withdrawal that comes late, changes nothing.
        """
        tenant, subject = event.tenant, event.subject_pseudonym
        moment = event.recorded_time.ToDatetime(UTC)
        carried: dict[tuple[str, str], Kept] = {}
        for _ in range(TRIES):
            page = await self._open(tenant, subject)
            if page.forgotten >= moment:
                return
            later = document.since(page.parts, moment)
            carried |= {each.key: each for each in later}
            if len(later) < len(page.parts):
                await self._blobs.destroy(tenant, page.scope)
                page = await self._open(tenant, subject)
            parts = {**carried, **{each.key: each for each in page.parts}}
            if await self._write(replace(page, forgotten=moment, parts=tuple(parts.values()))):
                return
        raise Unavailable("the results of one patient are kept too often at once")

    async def _open(self, tenant: str, subject: str) -> Page:
        """Return the document as it is now, without the parts of cases that were stopped."""
        for number in range(SCOPES_MAX):
            scope = f"history.{subject}.{number}"
            try:
                await self._blobs.vault.scope_key(tenant, scope, create=True)
            except KeyDestroyed:
                continue
            return await self._newest(tenant, scope)
        raise Damaged("a patient has withdrawn more often than can be")

    async def _newest(self, tenant: str, scope: str) -> Page:
        for _ in range(TRIES):
            number = max(await self._numbers(tenant, scope), default=0)
            if not number:
                return Page(tenant, scope, 0, NEVER, ())
            try:
                ref = BlobRef(scope=scope, name=_name(number))
                content = await self._blobs.get(tenant, ref)
            except NotFound:
                continue  # a newer one took its place
            forgotten, sealed = document.parts_in(content)
            found = await asyncio.gather(*(self._part(tenant, *each) for each in sealed))
            parts = tuple(each for each in found if each)
            return Page(tenant, scope, number, forgotten, parts)
        raise Unavailable("the results of one patient are changed too often at once")

    async def _part(self, tenant: str, head: Head, sealed: bytes) -> Kept | None:
        try:
            cipher = await self._cipher(tenant, head.case_id)
            return document.part_of(head, cipher.decrypt(sealed, _context(tenant, head.case_id)))
        except KeyDestroyed:
            return None

    async def _write(self, page: Page) -> bool:
        """Write the next version; False: somebody else did, or the key was destroyed."""
        sealed = []
        for each in page.parts:
            try:
                cipher = await self._cipher(page.tenant, each.case_id)
            except KeyDestroyed:
                continue
            context = _context(page.tenant, each.case_id)
            sealed.append((each, cipher.encrypt(document.part_content(each), context)))
        content, number = document.content_of(page.forgotten, sealed), page.number + 1
        try:
            await self._blobs.put(page.tenant, page.scope, _name(number), content, new=True)
        except (Conflict, KeyDestroyed):
            return False
        # A version that was deleted leaves its name free: the newest one alone holds everything.
        numbers = await self._numbers(page.tenant, page.scope)
        newest = max(numbers, default=number)
        for older in numbers:
            if older < newest:
                await self._blobs.delete(page.tenant, page.scope, _name(older))
        return number == newest

    async def _numbers(self, tenant: str, scope: str) -> list[int]:
        return [int(name) for name in await self._blobs.names(tenant, scope)]

    async def _cipher(self, tenant: str, case_id: str) -> FieldCipher:
        key = await self._blobs.vault.scope_key(tenant, case_id)
        return FieldCipher(KeyedHash(key).digest("labs-history"))


def received(part: PartReady) -> datetime:
    """Return when the case of a part was accepted."""
    return part.case.received_time.ToDatetime(UTC)


def _name(number: int) -> str:
    return f"{number:08d}"


def _context(tenant: str, case_id: str) -> str:
    return f"labs-history/{tenant}/{case_id}"
