"""Subscriptions and the resources they are about, for tests."""

from __future__ import annotations

from typing import Any

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"


def rest_hook(url: str, criteria: str = "Observation?code=718-7", **channel: Any) -> dict[str, Any]:
    """Return a Subscription in the form of R4."""
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "test",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": url, **channel},
    }


def topic(
    url: str,
    name: str = "case-status",
    *,
    content: str = "id-only",
    filters: tuple[str, ...] = (),
    heartbeat_s: int = 0,
    count: int = 0,
    **channel: Any,
) -> dict[str, Any]:
    """Return a Subscription to a topic, as the Backport IG says for R4."""
    extensions: list[Any] = []
    if heartbeat_s:
        extensions.append(
            {"url": IG + "backport-heartbeat-period", "valueUnsignedInt": heartbeat_s}
        )
    if count:
        extensions.append({"url": IG + "backport-max-count", "valuePositiveInt": count})
    made: dict[str, Any] = {
        "resourceType": "Subscription",
        "meta": {"profile": [IG + "backport-subscription"]},
        "status": "requested",
        "reason": "test",
        "criteria": f"urn:dxmesh:topic:{name}",
        "channel": {
            "type": "rest-hook",
            "endpoint": url,
            "payload": "application/fhir+json",
            "_payload": {
                "extension": [{"url": IG + "backport-payload-content", "valueCode": content}]
            },
            **channel,
        },
    }
    if extensions:
        made["channel"]["extension"] = extensions
    if filters:
        made["_criteria"] = {
            "extension": [
                {"url": IG + "backport-filter-criteria", "valueString": text} for text in filters
            ]
        }
    return made


def observation(name: str = "o-1", value: float = 7.5, patient: str = "p-1") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": value, "unit": "g/dL"},
    }


def task(name: str = "t-1", status: str = "requested", patient: str = "p-1") -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "id": name,
        "status": status,
        "intent": "order",
        "for": {"reference": f"Patient/{patient}"},
    }
