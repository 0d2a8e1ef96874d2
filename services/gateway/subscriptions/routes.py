"""The addresses of subscriptions; they stand before those of every type."""

from __future__ import annotations

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.fhir import writes
from services.gateway.subscriptions import admission, operations
from services.gateway.subscriptions.numbering import KIND

writes.CHECKS[KIND] = admission.check
writes.KEEPERS[KIND] = admission.keep

_STATUS = ((KIND, "$status"),)
_EVENTS = ((KIND, "$events"),)
_TOKEN = ((KIND, "$get-ws-binding-token"),)

ENTRIES = (
    *(
        Entry(path, method, Action.READ, handler, operation)
        for path, handler, operation in (
            ("/fhir/Subscription/$status", operations.status_of_many, _STATUS),
            ("/fhir/Subscription/{id}/$status", operations.status_of_one, _STATUS),
            ("/fhir/Subscription/{id}/$events", operations.events, _EVENTS),
            ("/fhir/Subscription/$get-ws-binding-token", operations.websocket_token, _TOKEN),
            ("/fhir/Subscription/{id}/$get-ws-binding-token", operations.websocket_token, _TOKEN),
        )
        for method in ("GET", "POST")
    ),
    Entry("/fhir/SubscriptionTopic", "GET", Action.METADATA, operations.list_topics),
    Entry("/fhir/SubscriptionTopic/{id}", "GET", Action.METADATA, operations.show_topic),
)
