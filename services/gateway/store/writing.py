"""A transaction on a tenant's resources: one at a time, numbered, indexed, audited.

Source: docs/adr/0012-one-writer-per-tenant.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.fhir.splice import splice
from services.gateway.progress import to_instant
from services.gateway.store import sql
from services.gateway.store.audit import AuditEntry, AuditTrail
from services.gateway.store.database import Cipher, Database
from services.gateway.store.incoming import Incoming, as_stored, key_of, unversioned
from services.gateway.store.lookup import current_versions, rows_of
from services.gateway.store.stored import COLUMNS, Key, Resource, Stored, context
from services.kernel import fhir
from services.kernel.crypto import KeyedHash

__all__ = ["Incoming", "Indexer", "WriteObserver", "Writing"]


class Indexer(Protocol):
    """Fills the search index, in the transaction that changes the resource."""

    rules: int
    """Version of its rules; a tenant's index made by earlier ones is filled anew at start."""

    async def write(
        self,
        connection: AsyncConnection,
        tenant: str,
        items: Sequence[tuple[Stored, Resource | None]],
    ) -> None:
        """Replace what these resources are found by; of one that is None, drop it."""


class WriteObserver(Protocol):
    """Is told what a transaction wrote, before it is committed."""

    async def written(self, writing: Writing) -> None:
        """Look at `writing.changes`; what is written here is committed with them."""


@dataclass(frozen=True, slots=True)
class _State:
    """Where a resource stands, as `sql.STATES` finds it."""

    version: int
    key: int
    deleted: bool
    owned: bool
    case_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class _Change:
    """A version to be written, and what it is found by (None: it is deleted)."""

    stored: Stored
    state: _State
    resource: Resource | None


class Writing:
    """What is done to one tenant's resources in one transaction, under the tenant's lock."""

    def __init__(
        self,
        database: Database,
        connection: AsyncConnection,
        tenant: str,
        indexers: Sequence[Indexer],
    ) -> None:
        self.connection = connection
        self.tenant = tenant
        self.now_us = 0
        """Time of every version of this transaction; later than any before it."""
        self.changes: list[Stored] = []
        """What was written, in order."""
        self.entries: list[AuditEntry] = []
        self._db = database
        self._indexers = indexers
        self._seq = 0
        self.cipher: Cipher
        """Of the tenant's content."""
        self._hasher: KeyedHash

    async def current(self, kind: str, resource_id: str) -> Stored | None:
        """Return the current version, a deletion included; None: there never was one."""
        return (await self.current_many([(kind, resource_id)])).get((kind, resource_id))

    async def current_many(self, keys: Sequence[Key]) -> dict[Key, Stored]:
        """Return the current versions of those that exist, deletions included."""
        return await current_versions(self.connection, self.cipher, self.tenant, keys)

    async def save(
        self,
        resource: Resource | bytes,
        *,
        content: bytes = b"",
        resource_id: str = "",
        method: str = "PUT",
        case_id: str = "",
        owned: bool = False,
    ) -> tuple[Stored, bool]:
        """Store a resource as its next version; tell whether it was created.

        Parameters
        ----------
        resource : parsed, or the bytes that came
        content : the bytes that came, when `resource` is parsed; they are kept but for `id`,
            `meta.versionId` and `meta.lastUpdated`
        resource_id : the id it gets; empty: its own, else a new one

        A resource whose content is current already gets no new version.
        """
        if isinstance(resource, bytes):
            content, resource = resource, dict(fhir.parse(resource))
        incoming = Incoming(
            resource=resource,
            content=content,
            id=resource_id,
            method=method,
            case_id=case_id,
            owned=owned,
        )
        return (await self.save_many([incoming]))[0]

    async def save_many(self, items: Sequence[Incoming]) -> list[tuple[Stored, bool]]:
        """Store resources in their order, with few statements; see `save`."""
        named = [(item, key_of(item)) for item in items]
        states = await self._states([key for _, key in named])
        found: list[tuple[Stored | None, bool]] = []
        changed: list[_Change] = []
        for item, key in named:
            before = states.get(key)
            plain = fhir.dump(unversioned(item.resource, key[1]))
            digest = self._hasher("resource", plain.decode())
            if before and not before.deleted and before.digest == digest:
                found.append((None, False))
                continue
            stored = self._next(key, before, item)
            states[key] = _standing(stored, before, digest)
            changed.append(_Change(stored, states[key], as_stored(item.resource, stored)))
            found.append((stored, before is None or before.deleted))
        await self._write(changed)
        same = [key for (stored, _), (_, key) in zip(found, named, strict=True) if stored is None]
        unchanged = await self.current_many(same)
        return [
            (stored or unchanged[key], created)
            for (stored, created), (_, key) in zip(found, named, strict=True)
        ]

    async def remove(self, kind: str, resource_id: str) -> Stored | None:
        """Delete a resource: a version that says so; None when there is nothing to delete."""
        key = (kind, resource_id)
        before = (await self._states([key])).get(key)
        if before is None or before.deleted:
            return None
        seq = self._number()
        stored = Stored(
            type=kind,
            id=resource_id,
            version=before.version + 1,
            case_id=before.case_id,
            updated_us=self.now_us,
            content=b"",
            seq=seq,
            key=before.key,
            method="DELETE",
            owned=before.owned,
        )
        await self._write([_Change(stored, _standing(stored, before, ""), None)])
        return stored

    def audit(self, entry: AuditEntry) -> None:
        """Note an entry of the journal, to be committed with the changes."""
        self.entries.append(entry)

    async def lock(self) -> None:
        """Take the tenant's lock, which ends with the transaction; first thing to do."""
        self.cipher = await self._db.cipher_for(self.tenant)
        self._hasher = await self._db.hasher_for(self.tenant)
        place = (self.tenant, max((indexer.rules for indexer in self._indexers), default=0))
        seq, last_us = await sql.take_lock(self.connection, *place)
        self._seq = seq
        self.now_us = max(self._db.now_us(), last_us + 1)

    async def finish(self, observers: Sequence[WriteObserver], trail: AuditTrail) -> None:
        """Tell the observers, write the journal and the last number; then commit."""
        for observer in observers:
            await observer.written(self)
        await trail.write(self.connection, self.entries)
        self.entries = []
        if self.changes:
            await sql.fetch(self.connection, sql.GIVE_BACK, self.tenant, self._seq, self.now_us)

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    async def _states(self, keys: Sequence[Key]) -> dict[Key, _State]:
        """Return where those that exist stand."""
        rows = await rows_of(self.connection, sql.STATES, self.tenant, keys)
        return {(kind, place): _State(*state) for kind, place, *state in rows}

    def _next(self, key: Key, before: _State | None, item: Incoming) -> Stored:
        """Return the version that an incoming resource becomes."""
        seq = self._number()
        version = before.version + 1 if before else 1
        mark = {
            "resource_id": key[1],
            "version_id": str(version),
            "last_updated": to_instant(self.now_us),
        }
        return Stored(
            type=key[0],
            id=key[1],
            version=version,
            case_id=item.case_id or (before.case_id if before else ""),
            updated_us=self.now_us,
            content=splice(item.content or fhir.dump(item.resource), **mark),
            seq=seq,
            key=before.key if before else seq,
            method=item.method,
            owned=item.owned,
        )

    def _current_row(self, stored: Stored, state: _State) -> sql.Values:
        """Return the values of `sql.SET_CURRENT`."""
        return (
            self.tenant,
            stored.type,
            stored.id,
            stored.version,
            stored.seq,
            stored.key,
            stored.deleted,
            stored.owned,
            state.case_id,
            stored.updated_us,
            state.digest,
        )

    def _version_row(self, stored: Stored) -> sql.Values:
        """Return the values of `sql.ADD_VERSION`."""
        sealed = b""
        if not stored.deleted:
            where = context(self.tenant, stored.type, stored.id, stored.version)
            sealed = self.cipher.encrypt(stored.content, where)
        return (self.tenant, *(getattr(stored, name) for name in COLUMNS), sealed)

    async def _write(self, changed: Sequence[_Change]) -> None:
        if not changed:
            return
        versions = [self._version_row(change.stored) for change in changed]
        await sql.run_many(self.connection, sql.ADD_VERSION, versions)
        last = {(change.stored.type, change.stored.id): change for change in changed}
        rows = [self._current_row(change.stored, change.state) for change in last.values()]
        await sql.run_many(self.connection, sql.SET_CURRENT, rows)
        indexed = [(change.stored, change.resource) for change in changed]
        for indexer in self._indexers:
            await indexer.write(self.connection, self.tenant, indexed)
        self.changes += [change.stored for change in changed]


def _standing(stored: Stored, before: _State | None, digest: str) -> _State:
    """Return where a resource stands now; it keeps the case that was the first to have it."""
    case_id = (before.case_id if before else "") or stored.case_id
    return _State(stored.version, stored.key, stored.deleted, stored.owned, case_id, digest)
