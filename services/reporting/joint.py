"""What follows from the parts of a case together: suggestions, agreements and conflicts.

All parts meet in this service alone, so it is made here; the rules are data, named as a model of
their own (docs/adr/0033-suggestions.md). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.event.v1.model_use_pb2 import ModelUse

from services.reporting.draft import Draft, Kind, Outcome, Part, Topic
from services.reporting.reconcile import images, medicines, record, results
from services.reporting.reconcile import observations as comparisons
from services.reporting.suggestions import catalogue, observations
from services.reporting.suggestions.facts import facts_of
from services.reporting.suggestions.known import Known

PART_ID = "together"
RULES = "dxmesh-suggestion-rules"
RULES_VERSION = "1.1.0"
"""Raise it when code or data change what is suggested."""


def check() -> None:
    """Read every rule, so that the first report need not.

    Raises
    ------
    InvalidInput
        A file of rules cannot be used; `violations` names each fault.
    """
    catalogue.engine()
    medicines.checks()
    medicines.classes()


def compose(draft: Draft, topics: Sequence[Topic]) -> tuple[Part, Topic]:
    """Return what all parts together add to a report, as a part of its own."""
    made = frozenset(each["id"] for topic in topics for each in topic.observations)
    known = Known(draft, made)
    facts = facts_of(known)
    part, topic = _part(), Topic()
    observations.compose(draft, part, catalogue.engine().weigh(facts), topic)
    compared = (
        *record.compare(draft, known),
        *results.compare(draft, known),
        *images.compare(draft, known),
        *medicines.compare(draft, known, facts),
    )
    comparisons.compose(draft, part, compared, topic)
    return part, topic


def _part() -> Part:
    model = ModelUse(
        name=RULES, version=RULES_VERSION, model_sha256=catalogue.digest(), runtime="rules"
    )
    return Part(PART_ID, Kind.TOGETHER, Outcome.COMPLETED, models=(model,))
