"""JSON Merge Patch (RFC 7396) on a resource: members replace, null takes away. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.fhir.json_patch import duplicate

Json = Any


def apply(resource: Mapping[str, Json], patch: Mapping[str, Json]) -> dict[str, Json]:
    """Return the resource with the members of the patch; the one given stays as it is.

    An object is merged member by member, a list is replaced as a whole.
    """
    merged = dict(resource)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            before = merged.get(name)
            merged[name] = apply(before if isinstance(before, Mapping) else {}, value)
        else:
            merged[name] = duplicate(value)
    return merged
