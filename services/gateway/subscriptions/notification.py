"""What is said of a Subscription: its status as Parameters, and notification Bundles. Pure.

Source: Subscriptions R5 Backport 1.1, backport-subscription-notification-r4 and
backport-subscription-status-r4: R4 has no SubscriptionStatus, so Parameters stand for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.gateway.progress import to_instant
from services.gateway.store.subscriptions import Event, Standing

Json = Any

PROFILES = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
REASONS = "urn:dxmesh:reason"
HANDSHAKE, HEARTBEAT, EVENT = "handshake", "heartbeat", "event-notification"
QUERY_STATUS, QUERY_EVENT = "query-status", "query-event"


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it is told: `content` is the version's JSON, empty where it is not sent.

    `hidden`: its owner may not see the resource any more, so the number alone is told, and
    the count stays without a gap.
    """

    event: Event
    content: bytes = b""
    hidden: bool = False


def status(standing: Standing, kind: str, told: Sequence[Told] = ()) -> dict[str, Json]:
    """Return the status of a Subscription, with the events that are told."""
    base = standing.registration.base_url
    definition = standing.registration.definition
    parameters: list[Json] = [
        _reference("subscription", f"{base}/fhir/Subscription/{standing.id}"),
    ]
    if definition.topic:
        parameters.append({"name": "topic", "valueCanonical": definition.topic})
    parameters += [
        {"name": "status", "valueCode": standing.status},
        {"name": "type", "valueCode": kind},
        {"name": "events-since-subscription-start", "valueString": str(standing.numbered)},
    ]
    for one in told:
        parts: list[Json] = [
            {"name": "event-number", "valueString": str(one.event.number)},
            {"name": "timestamp", "valueInstant": to_instant(one.event.time_us)},
        ]
        if definition.content != "empty" and not one.hidden:
            parts.append(_reference("focus", f"{base}/fhir/{_name(one.event)}"))
        parameters.append({"name": "notification-event", "part": parts})
    if standing.reason and standing.status == "error":
        coding = [{"system": REASONS, "code": standing.reason}]
        parameters.append({"name": "error", "valueCodeableConcept": {"coding": coding}})
    return {
        "resourceType": "Parameters",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [PROFILES + "backport-subscription-status-r4"]},
        "parameter": parameters,
    }


def bundle(standing: Standing, kind: str, told: Sequence[Told], now_us: int) -> dict[str, Json]:
    """Return a notification: a history Bundle whose first entry is the status."""
    base = standing.registration.base_url
    said = status(standing, kind, told)
    url = f"{base}/fhir/Subscription/{standing.id}/$status"
    entries: list[Json] = [
        {
            "fullUrl": f"urn:uuid:{said['id']}",
            "resource": said,
            "request": {"method": "GET", "url": url},
            "response": {"status": "200"},
        }
    ]
    named: set[str] = set()
    for one in told:
        shown = standing.registration.definition.content == "full-resource"
        if one.hidden or not one.content or not shown:
            continue
        full_url = f"{base}/fhir/{_name(one.event)}"
        version = f"{full_url}/_history/{one.event.version}"
        if version in named:
            continue
        named.add(version)
        created = one.event.version == 1
        request = {
            "method": "POST" if created else "PUT",
            "url": one.event.type if created else _name(one.event),
        }
        entries.append(
            {
                "fullUrl": full_url,
                "resource": orjson.Fragment(one.content),
                "request": request,
                "response": {"status": "201" if created else "200"},
            }
        )
    return {
        "resourceType": "Bundle",
        "id": str(uuid.uuid4()),
        "meta": {"profile": [PROFILES + "backport-subscription-notification-r4"]},
        "type": "history",
        "timestamp": to_instant(now_us),
        "entry": entries,
    }


def searchset(entries: Sequence[Mapping[str, Json]], base_url: str) -> dict[str, Json]:
    """Return the answer of `$status`: statuses as a searchset Bundle."""
    made: dict[str, Json] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(entries),
        "link": [{"relation": "self", "url": f"{base_url}/fhir/Subscription/$status"}],
    }
    if entries:
        made["entry"] = [
            {
                "fullUrl": f"urn:uuid:{entry['id']}",
                "resource": entry,
                "search": {"mode": "match"},
            }
            for entry in entries
        ]
    return made


def _name(event: Event) -> str:
    return f"{event.type}/{event.id}"


def _reference(name: str, reference: str) -> dict[str, Json]:
    return {"name": name, "valueReference": {"reference": reference}}
