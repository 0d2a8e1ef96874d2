"""patient-view: few cards, the most pressing first. Pure.

One card for all critical results nobody has read, one for all other reports that wait, one for
the latest signed report when nothing waits before it, one for what is running.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.hooks.cards import (
    CRITICAL,
    INFO,
    WARNING,
    Card,
    Frame,
    card,
    case_lines,
    excerpt,
    standing,
)
from services.gateway.hooks.facts import CaseFacts
from services.gateway.hooks.words import counted, moment, say


def patient_cards(frame: Frame, cases: Sequence[CaseFacts]) -> list[Card]:
    """Return the cards for a patient; `cases` newest first."""
    critical = [case for case in cases if case.critical]
    waiting = [case for case in cases if case.waits and not case.critical]
    reported = [case for case in cases if case.report]
    running = [case for case in cases if case.running and not case.report]
    made: list[Card] = []
    if critical:
        made.append(_critical(frame, critical))
    if waiting:
        made.append(_waiting(frame, waiting))
    if reported and not reported[0].waits:
        made.append(_signed(frame, reported[0]))
    if running:
        made.append(_running(frame, running))
    return made


def _critical(frame: Frame, cases: Sequence[CaseFacts]) -> Card:
    count = sum(case.critical for case in cases)
    detail = [case_lines(frame, cases), excerpt(cases[0]), standing(frame, reviewed=False)]
    return card(
        frame,
        "critical-result",
        CRITICAL,
        counted(frame.language, "critical", count),
        [text for text in detail if text],
        cases,
        ("known", "later", "not-relevant"),
    )


def _waiting(frame: Frame, cases: Sequence[CaseFacts]) -> Card:
    detail = [case_lines(frame, cases), excerpt(cases[0]), standing(frame, reviewed=False)]
    return card(
        frame,
        "report-waits",
        WARNING,
        counted(frame.language, "waits", len(cases)),
        [text for text in detail if text],
        cases,
        ("known", "later", "not-relevant"),
    )


def _signed(frame: Frame, case: CaseFacts) -> Card:
    detail = [case_lines(frame, [case]), excerpt(case), standing(frame, reviewed=True)]
    summary = say(frame.language, "signed", time=moment(case.time_us))
    return card(frame, "report-signed", INFO, summary, [text for text in detail if text], [case])


def _running(frame: Frame, cases: Sequence[CaseFacts]) -> Card:
    due = min(case.due_us or case.time_us for case in cases)
    return card(
        frame,
        "analysis-runs",
        INFO,
        counted(frame.language, "running", len(cases), time=moment(due)),
        [case_lines(frame, cases), standing(frame, reviewed=False)],
        cases,
    )
