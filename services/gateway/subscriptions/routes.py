"""The addresses of subscriptions; they stand before those of every type."""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.fhir import metadata, writes
from services.gateway.subscriptions import admission, operations, topics
from services.gateway.subscriptions.numbering import KIND

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport"
metadata.DEFINITIONS["status"] = f"{BACKPORT}/OperationDefinition/backport-subscription-status"
metadata.DEFINITIONS["events"] = f"{BACKPORT}/OperationDefinition/backport-subscription-events"
metadata.EXTENSIONS[KIND] = [
    {
        "url": f"{BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical",
        "valueCanonical": topic.url,
    }
    for topic in topics.TOPICS
]
writes.CHECKS[KIND] = admission.check
writes.KEEPERS[KIND] = admission.keep

_STATUS = ((KIND, "$status"),)
_EVENTS = ((KIND, "$events"),)
_REFUSED: tuple[tuple[str, str], ...] = ()
"""Of an operation that is refused: the CapabilityStatement does not name it."""

ENTRIES = (
    *(
        Entry(path, method, Action.READ, handler, operation)
        for path, handler, operation in (
            ("/fhir/Subscription/$status", operations.status_of_many, _STATUS),
            ("/fhir/Subscription/{id}/$status", operations.status_of_one, _STATUS),
            ("/fhir/Subscription/{id}/$events", operations.events, _EVENTS),
            ("/fhir/Subscription/$get-ws-binding-token", operations.websocket_token, _REFUSED),
            ("/fhir/Subscription/{id}/$get-ws-binding-token", operations.websocket_token, _REFUSED),
        )
        for method in ("GET", "POST")
    ),
    Entry("/fhir/SubscriptionTopic", "GET", Action.READ, operations.list_topics),
    Entry("/fhir/SubscriptionTopic/{id}", "GET", Action.READ, operations.show_topic),
)
