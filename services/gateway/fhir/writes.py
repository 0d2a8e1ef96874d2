"""What every change has in common: rights, ownership, conformance, the store, the consents.

An interaction opens `changing`, applies its change and writes its audit entry in it: the
resource, its index, what observers add and the audit entry are committed together or not at
all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir import allowed, consent, content, references, validation
from services.gateway.fhir.outcome import Gone
from services.gateway.store.resources import Stored
from services.gateway.store.writing import Incoming, Writing
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, NotFound, Violation

Json = dict[str, Any]
Check = Callable[[Call, Json], Awaitable[Json]]
Keep = Callable[[Call, Writing, Json, str, Stored | None], Awaitable[tuple[Json, str]]]

UNWRITABLE = frozenset({"AuditEvent"})
"""Types that no client writes, whatever its scopes."""
CHECKS: dict[str, Check] = {}
"""By type: what must be seen to before a client's resource is stored; it may be changed.

A check may not ask the database: the patch interaction runs it under the tenant's lock.
"""
KEEPERS: dict[str, Keep] = {}
"""By type: what is done under the tenant's lock, in the transaction that stores the resource.
Given the resource, its id (empty: not known yet) and the version before, returns what is to be
stored, and its id."""


@dataclass(slots=True)
class Draft:
    """A resource on its way into the store."""

    kind: str
    resource: Json
    content: bytes = b""
    """The bytes it came in; empty: `resource` is written out."""
    id: str = ""
    """Empty until it is known."""
    method: str = "PUT"
    letter: str = "u"
    """Which right it takes: c or u."""
    warnings: list[Violation] = field(default_factory=list)


@asynccontextmanager
async def changing(call: Call) -> AsyncIterator[Writing]:
    """Open a transaction; an interaction that fails in it counts as not audited yet."""
    try:
        async with call.store.resources.writing(call.tenant) as writing:
            yield writing
    except BaseException:
        call.audited = False
        raise


async def prepare(call: Call, draft: Draft) -> Draft:
    """Check what can be checked before the tenant's lock is taken.

    Raises
    ------
    Forbidden, InvalidInput
    """
    require_writable(draft.kind)
    call.principal.rights.covering(draft.kind, draft.letter)
    if is_excerpt(draft.resource):
        problem = Violation(f"{draft.kind}.meta.tag", "SUBSETTED: what is missing would be lost")
        raise InvalidInput("an excerpt cannot be stored", [problem], reason="EXCERPT")
    if check := CHECKS.get(draft.kind):
        changed = await check(call, draft.resource)
        if changed is not draft.resource:
            draft.resource, draft.content = changed, b""
    own = references.local(draft.resource, f"{call.base_url}/fhir/")
    if own is not draft.resource:  # else compartments would have to know our address
        draft.resource, draft.content = own, b""
    size = len(draft.content) or len(fhir.dump(draft.resource))
    await content.require_conformant(draft.resource, size)
    draft.warnings = await content.run_heavy(size, validation.misdirected, draft.resource)
    return draft


async def save(call: Call, writing: Writing, drafts: Sequence[Draft]) -> list[tuple[Stored, bool]]:
    """Store prepared resources; tell of each whether it was created.

    Raises
    ------
    Forbidden
        The mesh's own, or the rights do not fit the old content or the new.
    """
    before = await writing.current_many([(d.kind, d.id) for d in drafts if d.id])
    for draft in drafts:
        old = before.get((draft.kind, draft.id))
        contents = [draft.resource]
        letter = draft.letter
        if old is not None:
            require_not_owned(old)
        if old is not None and not old.deleted:
            contents.append(fhir.parse(old.content))
        elif letter == "u":
            letter = "c"  # an update that creates
        allowed.require_change(call.principal.rights, letter, draft.kind, contents)
        if keep := KEEPERS.get(draft.kind):
            kept, draft.id = await keep(call, writing, draft.resource, draft.id, old)
            draft.resource, draft.content = kept, b""
    saved = await writing.save_many(
        [Incoming(resource=d.resource, content=d.content, id=d.id, method=d.method) for d in drafts]
    )
    # Told even where nothing changed: its patient may not have been known before.
    await consent.tell(call, writing, [d.resource for d in drafts if d.kind == "Consent"])
    return saved


async def current(call: Call, writing: Writing, kind: str, resource_id: str) -> Stored:
    """Return what is to be changed.

    Raises
    ------
    NotFound, Gone, Forbidden
    """
    found = await writing.current(kind, resource_id)
    if found is None:
        raise NotFound("there is no such resource")
    if found.deleted:
        raise Gone("the resource was deleted")
    require_not_owned(found)
    return found


def is_excerpt(resource: Json) -> bool:
    """Tell whether a resource is marked as a part of one (R4 search, 3.1.1.5.8)."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return any(
        isinstance(tag, dict) and tag.get("code") == "SUBSETTED"
        for tag in (tags if isinstance(tags, list) else ())
    )


def require_writable(kind: str) -> None:
    """Let a type pass that clients may write.

    Raises
    ------
    Forbidden
    """
    if kind in UNWRITABLE:
        raise Forbidden("only the server writes this type", reason="SERVER_WRITES")


def require_not_owned(stored: Stored) -> None:
    """Let a resource pass that is not the mesh's own.

    Raises
    ------
    Forbidden
    """
    if stored.owned:
        how = "a correction is an amendment by a physician, on the review page"
        if stored.type == "Communication":
            how = "who read it says so by $acknowledge"
        raise Forbidden(f"made by the mesh; {how}", reason="MESH_OWNED")
