"""The HTTP request that tells of events. Pure.

A topic: POST of a notification Bundle. R4 without payload: POST without content. R4 with
payload: PUT of the resource to the endpoint's address followed by type and id. Requests of
R4 carry the event's number in a header, so that a repeat can be known there as well.

Source: R4 subscription, 2.46.7.1; Subscriptions R5 Backport 1.1, Channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from services.gateway.store.subscriptions import Standing
from services.gateway.subscriptions import notification
from services.gateway.subscriptions.notification import Told
from services.kernel import fhir

NUMBER_HEADER, NAME_HEADER = "X-Subscription-Event", "X-Subscription"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request; the endpoint's own headers are added when it is sent."""

    method: str
    url: str
    media_type: str = ""
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def outgoing(standing: Standing, told: Sequence[Told], now_us: int) -> Outgoing | None:
    """Return the request that tells of these events; None: there is nothing to tell.

    In the form of R4 that is an event (one at a time) whose resource its owner may not see
    any more: there is no way to say a number alone.
    """
    definition = standing.registration.definition
    if definition.topic:
        bundle = notification.bundle(standing, notification.EVENT, told, now_us)
        return Outgoing("POST", definition.endpoint, definition.payload, fhir.dump(bundle))
    (one,) = told
    if one.hidden:
        return None
    headers = {
        NUMBER_HEADER: str(one.event.number),
        NAME_HEADER: f"{standing.registration.base_url}/fhir/Subscription/{standing.id}",
    }
    if not definition.payload or not one.content:
        return Outgoing("POST", definition.endpoint, headers=headers)
    url = below(definition.endpoint, f"{one.event.type}/{one.event.id}")
    return Outgoing("PUT", url, definition.payload, one.content, headers)


def below(endpoint: str, path: str) -> str:
    """Return an address with a path added; the query, if it has one, stays at the end."""
    parts = urlsplit(endpoint)
    joined = f"{parts.path.rstrip('/')}/{path}"
    return urlunsplit((parts.scheme, parts.netloc, joined, parts.query, ""))
