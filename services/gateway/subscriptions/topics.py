"""The topics that can be subscribed to, as data, and when a change is an event of one. Pure.

Source: R5 SubscriptionTopic, as the Subscriptions R5 Backport IG 1.1 uses it with R4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
Resource = Mapping[str, Json]
Trigger = Callable[[Resource, Resource | None], bool]
"""Tells whether a version is an event, given it and the version before it (None: none)."""

PREFIX = "urn:dxmesh:topic:"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
CRITICAL = frozenset({"AA", "HH", "LL"})
READY = frozenset({"partial", "preliminary", "final", "amended", "corrected", "appended"})
WITHDRAWN = frozenset({"entered-in-error", "cancelled"})
NOTICES = "urn:dxmesh:critical"
"""Identifier system of Communications that tell critical results."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what it is about and what may be filtered by."""

    id: str
    title: str
    description: str
    kinds: tuple[str, ...]
    """Resource types whose versions can be events."""
    criterion: str
    """What makes one an event, in words."""
    filters: tuple[str, ...]
    """Search parameters a subscription may filter by; every kind has them."""
    trigger: Trigger

    @property
    def url(self) -> str:
        """Its canonical address."""
        return PREFIX + self.id


def _report_ready(now: Resource, before: Resource | None) -> bool:
    """Tell whether a report can be read in a new version, or is withdrawn."""
    status = now.get("status")
    if status in WITHDRAWN:
        return before is not None and before.get("status") != status
    return status in READY


def _critical_result(now: Resource, before: Resource | None) -> bool:
    """Tell whether a result is critical and was not so, or its status changed since."""
    if not _is_critical(now):
        return False
    if before is None or not _is_critical(before):
        return now.get("status") not in WITHDRAWN
    return bool(before.get("status") != now.get("status"))


def _critical_notice(now: Resource, before: Resource | None) -> bool:
    """Tell whether a critical result is told, told again, read for the first time or withdrawn."""
    told = any(each.get("system") == NOTICES for each in now.get("identifier", []))
    return told and (before is None or before.get("status") != now.get("status"))


def _case_status(now: Resource, before: Resource | None) -> bool:
    """Tell whether a case reached another status or another step."""
    if before is None:
        return True
    return _standing(before) != _standing(now)


def _standing(task: Resource) -> tuple[Json, ...]:
    names = ("status", "statusReason", "businessStatus")
    return tuple(task.get(name) for name in names)


def _is_critical(resource: Resource) -> bool:
    if resource.get("resourceType") == "DetectedIssue":
        return bool(resource.get("severity") == "high")
    found = resource.get("interpretation", [])
    return any(
        coding.get("system") == INTERPRETATION and coding.get("code") in CRITICAL
        for concept in (found if isinstance(found, list) else [])
        for coding in concept.get("coding", [])
    )


TOPICS = (
    Topic(
        "report-ready",
        "Report ready",
        "A DiagnosticReport can be read: composed by AI, signed, amended or withdrawn.",
        ("DiagnosticReport",),
        "Every version with status partial, preliminary, final, amended, corrected or appended; "
        "and the change to cancelled or entered-in-error.",
        ("patient", "subject", "status", "code", "category", "based-on", "identifier", "_id"),
        _report_ready,
    ),
    Topic(
        "critical-result",
        "Critical result",
        "A result that somebody must know of at once, and what becomes of it.",
        ("Observation", "DetectedIssue"),
        "An Observation is interpreted as AA, HH or LL or a DetectedIssue is of severity high, "
        "and was not so before; and each change of its status from then on.",
        ("patient", "code", "identifier", "_id"),
        _critical_result,
    ),
    Topic(
        "critical-notice",
        "Critical notice",
        "A critical result is told ahead of the report, told again, read or withdrawn.",
        ("Communication",),
        "A Communication with an identifier of urn:dxmesh:critical is created (one that has "
        "inResponseTo is an escalation), or its status changes.",
        ("patient", "subject", "status", "recipient", "based-on", "part-of", "identifier", "_id"),
        _critical_notice,
    ),
    Topic(
        "case-status",
        "Case status",
        "A case, which is a Task, reached another status or another step.",
        ("Task",),
        "A Task is created, or its status, statusReason or businessStatus changes.",
        ("patient", "subject", "status", "business-status", "based-on", "identifier", "_id"),
        _case_status,
    ),
)
BY_URL = {topic.url: topic for topic in TOPICS}


def definition(topic: Topic) -> dict[str, Json]:
    """Return a topic as a SubscriptionTopic, in the shape of R4B."""
    return {
        "resourceType": "SubscriptionTopic",
        "id": topic.id,
        "url": topic.url,
        "version": "1.0.0",
        "title": topic.title,
        "status": "active",
        "date": "2026-11-25",
        "description": topic.description,
        "resourceTrigger": [
            {
                "description": topic.criterion,
                "resource": f"http://hl7.org/fhir/StructureDefinition/{kind}",
                "supportedInteraction": ["create", "update"],
            }
            for kind in topic.kinds
        ],
        "canFilterBy": [
            {
                "description": f"Filter by the search parameter {name}",
                "resource": kind,
                "filterParameter": name,
            }
            for kind in topic.kinds
            for name in topic.filters
        ],
        "notificationShape": [{"resource": kind} for kind in topic.kinds],
    }
