"""A card and the parts that all of them share. Pure.

Source: CDS Hooks 2.0, CDS Service Response.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.hooks.facts import CaseFacts
from services.gateway.hooks.words import Language, escaped, moment, plain, say

SUMMARY_CHARS_MAX = 139
"""The standard: fewer than 140 characters."""
CASES_SHOWN_MAX = 3
CONCLUSION_LINES_MAX = 8
TOPICS = "urn:dxmesh:cds-topic"
OVERRIDES = "urn:dxmesh:cds-override"
INFO, WARNING, CRITICAL = "info", "warning", "critical"


@dataclass(frozen=True, slots=True)
class Frame:
    """What every card of an answer has in common."""

    language: Language
    base_url: str
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it is sent, and what we remember of it."""

    topic: str
    case_id: str
    content: dict[str, Any]

    @property
    def id(self) -> str:
        """Return the card's uuid."""
        return str(self.content["uuid"])


def card(
    frame: Frame,
    topic: str,
    indicator: str,
    summary: str,
    detail: Sequence[str],
    cases: Sequence[CaseFacts] = (),
    overrides: Sequence[str] = (),
    **more: Any,
) -> Card:
    """Return a card; `detail` is one paragraph of markdown each, already escaped."""
    content: dict[str, Any] = {
        "uuid": frame.new_id(),
        "summary": plain(summary, SUMMARY_CHARS_MAX),
        "detail": "\n\n".join(detail),
        "indicator": indicator,
        "source": {
            "label": "dxmesh",
            "url": f"{frame.base_url}/",
            "icon": f"{frame.base_url}/static/cds-icon.png",
            "topic": {
                "system": TOPICS,
                "code": topic,
                "display": say(frame.language, f"topic-{topic}"),
            },
        },
    }
    if links := _links(frame, cases):
        content["links"] = links
    if overrides:
        content["overrideReasons"] = [
            {"system": OVERRIDES, "code": code, "display": say(frame.language, f"override-{code}")}
            for code in overrides
        ]
    return Card(topic, cases[0].case_id if cases else "", content | more)


def case_lines(frame: Frame, cases: Sequence[CaseFacts]) -> str:
    """Return the cases as a markdown list: what was ordered, when, and what stands out."""
    shown = [f"- {_line(frame, case)}" for case in cases[:CASES_SHOWN_MAX]]
    if more := len(cases) - CASES_SHOWN_MAX:
        shown += [f"- {say(frame.language, 'more', count=more)}"] if more > 0 else []
    return "\n".join(shown)


def excerpt(case: CaseFacts) -> str:
    """Return the first lines of the report as a quotation; empty when it says nothing."""
    lines = [plain(line, 300) for line in case.conclusion if line.strip()]
    return "\n".join(f"> {escaped(line)}  " for line in lines[:CONCLUSION_LINES_MAX]).rstrip()


def standing(frame: Frame, *, reviewed: bool) -> str:
    """Return the line every card ends with: what kind of statement this is."""
    if reviewed:
        return f"**{say(frame.language, 'signed-line')}**"
    words = (say(frame.language, key) for key in ("reference-only", "not-reviewed"))
    return f"**{' '.join(words)}**"


def launch_link(frame: Frame, label: str, context: dict[str, str]) -> dict[str, str]:
    """Return a link that launches the SMART app with our context."""
    return {
        "label": label,
        "url": f"{frame.base_url}/ehr/launch",
        "type": "smart",
        "appContext": json.dumps(context, separators=(",", ":")),
    }


def name_of(frame: Frame, case: CaseFacts) -> str:
    """Return what a case is called on a card."""
    if case.order:
        return plain(case.order, 60)
    kind = case.examination.kind if case.examination else ""
    return say(frame.language, f"kind-{kind}" if kind else "report")


def _links(frame: Frame, cases: Sequence[CaseFacts]) -> list[dict[str, str]]:
    links = [
        launch_link(
            frame,
            plain(say(frame.language, "link-open", order=name_of(frame, case)), 120),
            {"case": case.case_id},
        )
        for case in cases[:CASES_SHOWN_MAX]
    ]
    if links:
        links.append(
            {
                "label": say(frame.language, "link-browser"),
                "url": f"{frame.base_url}/cases/{cases[0].case_id}",
                "type": "absolute",
            }
        )
    return links


def _line(frame: Frame, case: CaseFacts) -> str:
    language = frame.language
    facts = [
        say(language, f"facts-{name}", count=count) for name, count in case.counts.items() if count
    ]
    if case.held:
        facts.append(say(language, "facts-held"))
    if case.report:
        facts.append(say(language, "facts-signed" if case.signed else "facts-unreviewed"))
    mark = "、" if language == "zh" else ", "
    return say(
        language,
        "case-line",
        order=escaped(name_of(frame, case)),
        time=moment(case.time_us),
        facts=mark.join(facts) or say(language, "facts-none"),
    )
