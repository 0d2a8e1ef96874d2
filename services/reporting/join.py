"""When a version of the report is due, from what is known of the case. No clock of its own.

A first version is due when every expected part has ended, or at the due time with what there
is. After it, each part that ends late makes the next version. A repeat changes nothing, and
neither does a signature: what comes after one is the next version, for review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.reporting.draft import Outcome

_RANK = {Outcome.COMPLETED: 0, Outcome.DECLINED: 1, Outcome.FAILED: 2}

Included = Mapping[str, Outcome]
"""How each part that had ended stands in a version; a part not named was awaited."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one case."""

    expected: Sequence[str] | None
    """Part ids; None until de-identification has listed them."""
    endings: Mapping[str, Sequence[Outcome]]
    """Every outcome that was announced, by part."""
    due: datetime
    versions: Sequence[Included] = ()
    """What each version holds, the first one first."""
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """Compose this version from these endings."""

    version: int
    included: Included


def counted(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome that counts of those announced for a part.

    A part that failed may be retried from the dead letters and complete then; the result
    counts, in whatever order the announcements come.
    """
    return min(outcomes, key=_RANK.__getitem__)


def next_version(state: State, now: datetime) -> Decision | None:
    """Return the version to compose now, or None."""
    if state.stopped or state.expected is None:
        return None
    included = {
        part: counted(state.endings[part]) for part in state.expected if state.endings.get(part)
    }
    if not state.versions:
        all_ended = len(included) == len(state.expected)
        return Decision(1, included) if all_ended or now >= state.due else None
    if included == state.versions[-1]:
        return None
    return Decision(len(state.versions) + 1, included)
