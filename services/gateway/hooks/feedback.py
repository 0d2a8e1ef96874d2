"""Feedback on cards, checked. Pure.

Source: CDS Hooks 2.0, Feedback.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.gateway.hooks.cards import OVERRIDES
from services.gateway.store.hooks import Feedback
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Violation

OUTCOMES = frozenset({"accepted", "overridden"})
ENTRIES_MAX = 100
COMMENT_CHARS_MAX = 8_000
OWN_REASONS = frozenset({"known", "later", "not-relevant", "new-question", "follow-up"})


def parse(content: bytes) -> list[Feedback]:
    """Return the feedback in a request.

    Raises
    ------
    InvalidInput
        Names each field that cannot be used.
    """
    body = fhir.parse(content)
    entries = body.get("feedback") if isinstance(body, Mapping) else None
    if not isinstance(entries, list) or not 0 < len(entries) <= ENTRIES_MAX:
        problem = Violation("feedback", f"1 to {ENTRIES_MAX} entries")
        raise InvalidInput("the feedback cannot be used", [problem], reason="BAD_REQUEST")
    found: list[Violation] = []
    given = [_entry(entry, f"feedback[{number}]", found) for number, entry in enumerate(entries)]
    if found:
        raise InvalidInput("the feedback cannot be used", found, reason="BAD_REQUEST")
    return [each for each in given if each]


def _entry(entry: Any, where: str, found: list[Violation]) -> Feedback | None:
    if not isinstance(entry, Mapping):
        found.append(Violation(where, "an object"))
        return None
    before = len(found)
    card = _card(entry.get("card"))
    if not card:
        found.append(Violation(f"{where}.card", "the uuid of a card"))
    outcome = entry.get("outcome")
    if outcome not in OUTCOMES:
        found.append(Violation(f"{where}.outcome", "accepted or overridden"))
    at_us = _time_us(entry.get("outcomeTimestamp"))
    if at_us is None:
        found.append(Violation(f"{where}.outcomeTimestamp", "a date and time with a time zone"))
    override = entry.get("overrideReason", {})
    reason, comment = _override(override, where, found)
    suggestions = entry.get("acceptedSuggestions", [])
    ids = [s.get("id") for s in suggestions if isinstance(s, Mapping)] if suggestions else []
    if outcome == "accepted" and not ids:
        found.append(Violation(f"{where}.acceptedSuggestions", "needed with accepted"))
    if len(found) > before:
        return None
    detail: dict[str, object] = {
        "suggestions": [i for i in ids if isinstance(i, str)],
        "comment": comment,
    }
    return Feedback(card, str(outcome), at_us or 0, reason, detail)


def _override(override: Any, where: str, found: list[Violation]) -> tuple[str, str]:
    """Return our reason's code and the comment; a foreign code is not kept in the open."""
    if not isinstance(override, Mapping):
        found.append(Violation(f"{where}.overrideReason", "an object"))
        return "", ""
    reason, comment = override.get("reason"), override.get("userComment", "")
    if not isinstance(comment, str) or len(comment) > COMMENT_CHARS_MAX:
        problem = f"text of at most {COMMENT_CHARS_MAX} characters"
        found.append(Violation(f"{where}.overrideReason.userComment", problem))
        return "", ""
    code = reason.get("code") if isinstance(reason, Mapping) else ""
    ours = isinstance(reason, Mapping) and reason.get("system") in (OVERRIDES, None)
    return (str(code) if ours and code in OWN_REASONS else "other" if code else ""), comment


def _card(value: Any) -> str:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _time_us(value: Any) -> int | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return int(moment.astimezone(UTC).timestamp() * 1e6)
