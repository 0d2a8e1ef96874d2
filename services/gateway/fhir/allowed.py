"""Whether a caller may see or change one resource: rights applied to its content. Pure.

A search lets the database decide the same question for many resources at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.access.rights import Rights, Visibility
from services.gateway.fhir.search import match
from services.gateway.store.resources import Stored
from services.kernel import fhir
from services.kernel.errors import Forbidden, NotFound

Json = Mapping[str, Any]


def sees(visibility: Visibility, stored: Stored) -> bool:
    """Tell whether a version may be shown; content is only parsed where it has to be."""
    rules = visibility.of(stored.type)
    if rules == ():
        return False
    if rules is None and (visibility.restricted or not may_be_labelled(stored.content)):
        return True
    return match.visible(visibility, fhir.parse(stored.content))


def require_seen(visibility: Visibility, stored: Stored) -> None:
    """Let a version pass that may be shown.

    Raises
    ------
    NotFound
        The same as if there were no such resource.
    """
    if not sees(visibility, stored):
        raise NotFound("there is no such resource")


def require_change(rights: Rights, letter: str, kind: str, resources: Sequence[Json]) -> None:
    """Let a change pass: a permission must fit each content, the old one and the new.

    Raises
    ------
    Forbidden
    """
    permissions = rights.covering(kind, letter)
    for resource in resources:
        hidden = not rights.restricted and match.restricted(resource)
        if hidden or not any(match.fits(permission, resource) for permission in permissions):
            raise Forbidden(f"no scope allows this change of {kind}", reason="INSUFFICIENT_SCOPE")


def may_be_labelled(content: bytes) -> bool:
    """Tell quickly whether a label, or one of another resource, may count for a content.

    JSON may be escaped: then it is to be read.
    """
    marks = (b"v3-Confidentiality", b"securityContext", b"\\")
    return any(mark in content for mark in marks)
