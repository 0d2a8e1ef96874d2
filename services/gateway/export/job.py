"""An export job: what it is for, how far it has come, and its manifest. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from services.gateway.access.rights import Permission, Rights
from services.gateway.export.request import Asked

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
OUTPUT, DELETED, ERROR = "output", "deleted", "error"


@dataclass(frozen=True, slots=True)
class File:
    """One NDJSON file that is written."""

    name: str
    """Of its blob, and in its address."""
    kind: str
    """Resource type of its lines."""
    role: str
    """output, deleted or error."""
    count: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come; what is here is committed, the rest is done again."""

    kinds: tuple[str, ...] = ()
    """Types still to be looked through, the one it is at first."""
    after_seq: int = 0
    """Last version of that type that was looked at."""
    files: tuple[File, ...] = ()
    begun: bool = False
    """Whether `kinds` has been filled."""
    all_kinds: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """One export."""

    tenant: str
    id: str
    owner: str
    """Account and client that asked; nobody else may see it."""
    status: str
    seq: int
    """The last version that is in it: what is committed later is not."""
    transaction_us: int
    """When that version was written."""
    created_us: int
    expires_us: int
    """When the files go; 0: not finished."""
    url: str
    """The request, for the manifest."""
    asked: Asked
    rights: Rights
    """What the caller could see at the start."""
    progress: Progress = field(default=Progress())
    reason: str = ""

    @property
    def scope(self) -> str:
        """Return the scope of its files: one key, which dies with the job."""
        return f"export-{self.id}"

    @property
    def count(self) -> int:
        """Return how many lines are written."""
        return sum(file.count for file in self.progress.files)


def said(job: Job) -> str:
    """Return what X-Progress says: at most 100 characters."""
    done = job.progress.all_kinds - len(job.progress.kinds)
    return f"{job.count} resources; {done} of {job.progress.all_kinds} types"[:100]


def manifest(job: Job, base_url: str) -> dict[str, Any]:
    """Return the answer to a finished job (Bulk Data 2, Response - Complete Status)."""
    listed: dict[str, list[dict[str, Any]]] = {OUTPUT: [], DELETED: [], ERROR: []}
    for file in job.progress.files:
        url = f"{base_url}/fhir/$export-file/{job.id}/{file.name}"
        listed[file.role].append({"type": file.kind, "url": url, "count": file.count})
    return {
        "transactionTime": _exactly(job.transaction_us),
        "request": job.url,
        "requiresAccessToken": True,
        **listed,
    }


def _exactly(us: int) -> str:
    """Return an instant to the microsecond: as `_since` of the next export it repeats nothing."""
    moment = datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def may_read(now: Rights, then: Rights, kind: str) -> bool:
    """Tell whether what was seen at the start of a type may still be seen."""
    before, after = readable(then).of(kind), readable(now).of(kind)
    if then.restricted and not now.restricted:
        return False
    if after is None:
        return True
    return before is not None and set(before) <= set(after) and bool(after)


def readable(rights: Rights) -> Any:
    """Return what may be seen by one that may both read and search a type."""
    both = tuple(p for p in rights.permissions if {"r", "s"} <= p.letters)
    return Rights(both, rights.restricted).visibility("r")


def dump_request(job: Job) -> bytes:
    """Return the parts of a job that never change, as JSON; they may name patients."""
    permissions = [
        [p.kind, "".join(sorted(p.letters)), p.patient, p.criteria] for p in job.rights.permissions
    ]
    return orjson.dumps(
        {
            "url": job.url,
            "asked": asdict(job.asked),
            "permissions": permissions,
            "restricted": job.rights.restricted,
        }
    )


def load_request(content: bytes) -> tuple[str, Asked, Rights]:
    """Return the address, what was asked, and the rights in `dump_request`'s JSON."""
    value = orjson.loads(content)
    asked = value["asked"]
    given = Asked(
        level=asked["level"],
        kinds=tuple(asked["kinds"]),
        since_us=asked["since_us"],
        until_us=asked["until_us"],
        elements=tuple((kind, name) for kind, name in asked["elements"]),
        filters=tuple((k, tuple((n, v) for n, v in pairs)) for k, pairs in asked["filters"]),
        patients=None if asked["patients"] is None else tuple(asked["patients"]),
    )
    permissions = tuple(
        Permission(kind, frozenset(letters), patient, tuple((n, v) for n, v in criteria))
        for kind, letters, patient, criteria in value["permissions"]
    )
    return value["url"], given, Rights(permissions, value["restricted"])


def dump_progress(progress: Progress) -> bytes:
    """Return progress as JSON; it holds no identity."""
    return orjson.dumps(asdict(progress))


def load_progress(content: bytes) -> Progress:
    """Return the progress in JSON."""
    value = orjson.loads(content)
    return Progress(
        tuple(value["kinds"]),
        value["after_seq"],
        tuple(File(**file) for file in value["files"]),
        value["begun"],
        value["all_kinds"],
    )
