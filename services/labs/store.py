"""Where earlier results are kept: one document per patient in the zone's blobs.

The scope is `history.<pseudonym>.<n>`; its key dies when the patient withdraws, and the next
results begin scope n + 1. Versions of the document are names that are made once: of two replicas
that add a part at the same time one wins and the other adds its part to what that one wrote. The
rows of a part are sealed again under a key that comes from its case's key, so they die with it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.subject_forgotten_pb2 import SubjectForgotten

from services.kernel import telemetry
from services.kernel.blobs import Blobs
from services.kernel.crypto import FieldCipher, KeyedHash
from services.kernel.errors import Conflict, Damaged, KeyDestroyed, NotFound, Unavailable
from services.labs.history import document
from services.labs.history.document import Bounds, Head, Kept
from services.labs.history.past import NOTHING, Past
from services.labs.history.rows import Place, Row

log = logging.getLogger(__name__)

PREFIX = "history."
REDELIVERED = timedelta(days=60)
"""After this nothing can be delivered again: the bus keeps a message for half of it."""
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
    listed: int = 0
    """Parts that it lists, those of stopped cases among them."""


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
        try:
            page = await self._open(part.case.tenant, part.subject_pseudonym)
        except Damaged as error:  # it costs the history, never the report
            log.error("earlier results cannot be read, they begin anew: %s", error.reason)
            telemetry.failure("labs.history", error.reason)
            page = await self._anew(part)
        return None if received(part) <= page.forgotten else page

    def before(self, page: Page | None, part: PartReady, since: Page | None = None) -> Past:
        """Return the results of cases that were received before a part's.

        Parameters
        ----------
        since : what was read first; what other cases added to it meanwhile counts too
        """
        if page is None:
            return NOTHING
        start, first = received(part), {each.key for each in since.parts} if since else set()
        oldest = start - timedelta(days=self._bounds.days)
        mine = part.case.case_id, part.part_id
        parts = [
            each
            for each in page.parts
            if each.key != mine
            and each.received >= oldest
            and (each.received < start or (since and each.key not in first))
        ]
        return Past(row for each in parts for row in each.rows)

    async def keep(
        self, page: Page | None, part: PartReady, rows: Iterable[Row], gone: Iterable[Place]
    ) -> Page | None:
        """Keep the results of a part; a repeat changes nothing.

        Returns the document where other cases wrote into it since `page` was read: what they hold
        was not compared with this part. None: nothing was missed.

        Raises
        ------
        Unavailable
            Other replicas were faster again and again, or the store is away.
        """
        new = Kept(part.case.case_id, part.part_id, received(part), tuple(rows), tuple(gone))
        first = page
        for _ in range(TRIES):
            if page is None or new.received <= page.forgotten:
                return None
            parts = document.merged(page.parts, new, self._bounds, datetime.now(UTC))
            if parts == list(page.parts) or await self._write(replace(page, parts=tuple(parts))):
                return None if page is first else page
            page = await self._open(page.tenant, part.subject_pseudonym)
        raise Unavailable("the results of one patient are kept too often at once")

    async def purge(self, now: datetime) -> int:
        """Destroy what is past its age, also of patients who never return; return of how many.

        What is kept of a withdrawal goes too, once nothing from before can be delivered again. A
        case that is kept in the moment its patient's document goes may be lost to the history.
        """
        changed = 0
        for tenant in await self._blobs.tenants():
            for scope in await self._blobs.scopes(tenant):
                if scope.startswith(PREFIX):
                    changed += await self._swept(tenant, scope, now)
        return changed

    async def keep_purging(self, every_s: float) -> None:
        """Purge again and again, until the process stops; replicas may do it side by side."""
        while True:
            await asyncio.sleep(every_s * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            changed = await self.purge(datetime.now(UTC))
            log.info("histories that were cut or ended: %d", changed)

    async def _swept(self, tenant: str, scope: str, now: datetime) -> bool:
        try:
            page = await self._newest(tenant, scope)
            parts = document.bounded(page.parts, self._bounds, now)
            if not parts and page.forgotten < now - REDELIVERED:
                await self._blobs.destroy(tenant, scope)
                return True
            if parts == list(page.parts) and len(parts) == page.listed:
                return False
            return await self._write(replace(page, parts=tuple(parts)))
        except KeyDestroyed:
            await self._blobs.destroy(tenant, scope)  # what was written under a key that is gone
        except Damaged as error:
            log.error("earlier results cannot be read, nor their age: %s", error.reason)
            telemetry.failure("labs.history", error.reason)
        return False

    async def _anew(self, part: PartReady) -> Page:
        """Return a document without anything, after one that cannot be read.

        Whether the patient withdrew before is not known any more: older cases are not kept.
        """
        tenant, subject = part.case.tenant, part.subject_pseudonym
        scope, number = await self._last(tenant, subject)
        return Page(tenant, scope, number, received(part) - timedelta(microseconds=1), ())

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
        for scope in _scopes(subject):
            try:
                await self._blobs.vault.scope_key(tenant, scope, create=True)
                return await self._newest(tenant, scope)
            except KeyDestroyed:
                continue  # the patient withdrew, perhaps this moment
        raise Damaged("a patient has withdrawn more often than can be")

    async def _last(self, tenant: str, subject: str) -> tuple[str, int]:
        """Return a patient's scope, and the number of the newest version in it."""
        for scope in _scopes(subject):
            try:
                await self._blobs.vault.scope_key(tenant, scope, create=True)
            except KeyDestroyed:
                continue
            return scope, max(await self._numbers(tenant, scope), default=0)
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
            return Page(tenant, scope, number, forgotten, parts, len(sealed))
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


def _scopes(subject: str) -> Iterator[str]:
    return (f"{PREFIX}{subject}.{number}" for number in range(SCOPES_MAX))


def _name(number: int) -> str:
    return f"{number:08d}"


def _context(tenant: str, case_id: str) -> str:
    return f"labs-history/{tenant}/{case_id}"
