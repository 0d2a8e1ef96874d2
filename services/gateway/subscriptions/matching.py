"""Whether a version of a resource is an event of a Subscription. Pure.

Both what the Subscription asks for and what its owner may see are held against the content,
with the rules the search goes by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.fhir.search import match
from services.gateway.fhir.search.criteria import Condition
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.subscriptions.definition import Criterion
from services.gateway.subscriptions.registration import Registration
from services.gateway.subscriptions.topics import BY_URL, Topic
from services.kernel.errors import InvalidInput

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listener:
    """A Subscription made ready to be held against many resources."""

    id: str
    registration: Registration
    topic: Topic | None
    criteria: tuple[tuple[str, tuple[Condition, ...]], ...]
    """(resource type, conditions) pairs."""

    @classmethod
    def of(cls, subscription_id: str, registration: Registration) -> Listener:
        """Return the listener of a registration."""
        definition = registration.definition
        criteria = tuple(
            (c.kind, _conditions(c, f"{registration.base_url}/fhir")) for c in definition.criteria
        )
        topic = BY_URL[definition.topic] if definition.topic else None
        return cls(subscription_id, registration, topic, criteria)

    def wants(self, now: Resource, before: Resource | None) -> bool:
        """Tell whether a version is an event, given the one before it (None: none).

        Of R4: every created or updated version that meets the criteria. Of a topic: its
        trigger, and every filter on this type.
        """
        if self.topic and not self.topic.trigger(now, before):
            return False
        of_kind = [wanted for kind, wanted in self.criteria if kind == now["resourceType"]]
        if not self.topic and not of_kind:
            return False
        return all(match.matches(wanted, now) for wanted in of_kind)


def may_see(registration: Registration, resource: Resource) -> bool:
    """Tell whether a Subscription's owner may see a resource, by today's rights."""
    visibility = registration.owner.rights().visibility("r")
    return match.visible(visibility, resource, base_url=f"{registration.base_url}/fhir")


def _conditions(criterion: Criterion, base_url: str) -> tuple[Condition, ...]:
    """Return the conditions; none where a later version of the search knows them no more.

    Then more is told than was asked for, within the owner's rights, and nothing is lost.
    """
    try:
        return parse_criteria(criterion.kind, criterion.pairs, base_url=base_url)
    except InvalidInput:
        return ()
