"""order-select and order-sign: what there is already, or what can be asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.gateway.hooks.cards import (
    INFO,
    WARNING,
    Card,
    Frame,
    card,
    case_lines,
    excerpt,
    launch_link,
    standing,
)
from services.gateway.hooks.facts import CaseFacts
from services.gateway.hooks.orders import Examination, examination
from services.gateway.hooks.words import moment, say

KINDS_MAX = 3
"""Kinds of examination that one answer speaks of."""

Json = Mapping[str, Any]


def order_cards(
    frame: Frame, orders: Sequence[Json], cases: Sequence[CaseFacts], patient_id: str
) -> list[Card]:
    """Return one card for each kind of examination that is ordered; `cases` newest first."""
    kinds: dict[str, tuple[Examination, Json]] = {}
    for order in orders:
        if found := examination(order):
            kinds.setdefault(found.kind, (found, order))
    made: list[Card] = []
    for kind, order in list(kinds.values())[:KINDS_MAX]:
        same = [case for case in cases if case.examination == kind]
        reported = next((case for case in same if case.report), None)
        running = next((case for case in same if case.running), None)
        if reported:
            made.append(_exists(frame, kind, reported))
        elif running:
            made.append(_running(frame, kind, running))
        elif kind.analysed:
            made.append(_offer(frame, kind, order, patient_id))
    return made


def _exists(frame: Frame, kind: Examination, case: CaseFacts) -> Card:
    key = "exists-waits" if case.waits else "exists-signed"
    detail = [case_lines(frame, [case]), excerpt(case), standing(frame, reviewed=not case.waits)]
    return card(
        frame,
        "report-exists",
        WARNING if case.critical else INFO,
        say(frame.language, key, kind=_name(frame, kind), time=moment(case.time_us)),
        [text for text in detail if text],
        [case],
        ("new-question", "follow-up", "known", "not-relevant"),
    )


def _running(frame: Frame, kind: Examination, case: CaseFacts) -> Card:
    return card(
        frame,
        "analysis-runs",
        INFO,
        say(frame.language, "exists-running", kind=_name(frame, kind)),
        [case_lines(frame, [case]), standing(frame, reviewed=False)],
        [case],
        ("new-question", "known", "not-relevant"),
    )


def _offer(frame: Frame, kind: Examination, order: Json, patient_id: str) -> Card:
    language, name = frame.language, _name(frame, kind)
    detail = [say(language, "offer-detail"), f"**{say(language, 'reference-only')}**"]
    link = launch_link(
        frame, say(language, "offer-suggestion"), {"analyse": kind.kind, "for": "order"}
    )
    suggestion = {
        "label": say(language, "offer-suggestion"),
        "uuid": frame.new_id(),
        "isRecommended": False,
        "actions": [
            {
                "type": "create",
                "description": say(language, "offer-order", kind=name),
                "resource": _request(say(language, "offer-order", kind=name), order, patient_id),
            }
        ],
    }
    return card(
        frame,
        "analysis-offered",
        INFO,
        say(language, "offer", kind=name),
        detail,
        overrides=("not-relevant",),
        links=[link],
        suggestions=[suggestion],
        selectionBehavior="at-most-one",
    )


def _request(text: str, order: Json, patient_id: str) -> dict[str, Any]:
    """Return the ServiceRequest that asks for the analysis, for the EHR to create."""
    made: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "proposal",
        "code": {
            "coding": [{"system": "urn:dxmesh:task", "code": "analyse-case"}],
            "text": text,
        },
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    if isinstance(order.get("id"), str):
        made["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"}]
    return made


def _name(frame: Frame, kind: Examination) -> str:
    return say(frame.language, f"kind-{kind.kind}")
