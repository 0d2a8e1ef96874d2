"""A resource on its way into the store."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from services.gateway.progress import to_instant
from services.gateway.store.stored import Key, Resource, Stored
from services.kernel.errors import InvalidInput, Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A resource to be saved."""

    resource: Resource
    """Its content, parsed by `kernel.fhir.parse`."""
    content: bytes = b""
    """The same as it came, which is kept; empty: `resource` is written out."""
    id: str = ""
    """Its id; empty: the one in `resource`, else a new one."""
    method: str = "PUT"
    case_id: str = ""
    owned: bool = False


def key_of(item: Incoming) -> Key:
    """Return the type and id that a resource is saved under.

    Raises
    ------
    InvalidInput
        It has no type.
    """
    kind = item.resource.get("resourceType")
    if not isinstance(kind, str) or not kind:
        problem = Violation("resourceType", "is missing")
        raise InvalidInput("not a FHIR resource", [problem])
    return kind, item.id or str(item.resource.get("id") or uuid.uuid4())


def as_stored(resource: Resource, stored: Stored) -> Resource:
    """Return the content with what the store wrote into it."""
    meta = resource.get("meta")
    marks = {"versionId": str(stored.version), "lastUpdated": to_instant(stored.updated_us)}
    kept = meta if isinstance(meta, dict) else {}
    return {**resource, "id": stored.id, "meta": {**kept, **marks}}


def unversioned(resource: Resource, resource_id: str) -> Resource:
    """Return the content that makes two versions the same or not."""
    meta = resource.get("meta")
    if isinstance(meta, dict) and not meta.keys().isdisjoint(("versionId", "lastUpdated")):
        kept = {k: v for k, v in meta.items() if k not in ("versionId", "lastUpdated")}
        resource = {k: v for k, v in resource.items() if k != "meta"}
        if kept:
            resource["meta"] = kept
    return resource if resource.get("id") == resource_id else {**resource, "id": resource_id}
