"""The decision over all consents of one subject: permit or deny, why, and resting on what.

No consent means no. The most recently given consent that speaks to the question decides;
a denial given at the same time as a permission wins. A withdrawal ends what was given
before it, however often that is submitted again: only a consent signed later counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from services.consent.instants import span
from services.consent.provisions import PURPOSES, Effect, Question, Resource, Verdict, judge

ENDED = {
    "inactive": "WITHDRAWN",
    "rejected": "REJECTED",
    "entered-in-error": "ENTERED_IN_ERROR",
}
"""Statuses that end a consent, and what a decision says then (R4 consent-state-codes)."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ConsentVersion:
    """One recorded state of one consent."""

    key: str
    """Which consent: the same for all its versions."""
    number: int
    """From 1, in the order of recording."""
    recorded_at: datetime
    resource: Resource
    """FHIR R4 Consent."""
    ends_all: bool = False
    """A withdrawal of everything the subject consented to before it."""

    @property
    def version(self) -> str:
        """The name that decisions quote."""
        return f"{self.key}/{self.number}"

    @property
    def ended(self) -> str | None:
        """Why this version ends its consent; None when it does not."""
        return ENDED.get(str(self.resource.get("status")))


@dataclass(frozen=True, slots=True)
class Decision:
    """Permitted or not, a stable reason, and the version it rests on (empty: none)."""

    permitted: bool
    reason: str
    version: str


@dataclass(frozen=True, slots=True)
class _Opinion:
    verdict: Verdict
    given_at: datetime
    version: ConsentVersion


def decide(versions: Sequence[ConsentVersion], question: Question, zone: tzinfo) -> Decision:
    """Return the decision on a question.

    Parameters
    ----------
    versions : every recorded version of every consent of one subject, in any order
    zone : where dates without a zone were written
    """
    opinions = [_opinion(state, versions, question, zone) for state in _latest(versions, zone)]
    speaking = [o for o in opinions if o.verdict.effect is not Effect.SILENT]
    if speaking:
        first = max(speaking, key=lambda o: (o.given_at, o.verdict.effect is Effect.DENY))
        permitted = first.verdict.effect is Effect.PERMIT
        return Decision(permitted, first.verdict.reason, first.version.version)
    if opinions:
        nearest = max(opinions, key=lambda o: (o.version.recorded_at, o.version.number))
        return Decision(False, nearest.verdict.reason, nearest.version.version)
    return Decision(False, "NO_CONSENT", "")


def active(versions: Sequence[ConsentVersion], zone: tzinfo) -> list[ConsentVersion]:
    """Return the consents that stand: active and not withdrawn since they were given."""
    return [v for v in _latest(versions, zone) if _stop(v, versions, zone) is None]


def permissions(
    versions: Sequence[ConsentVersion], at: datetime, zone: tzinfo
) -> set[tuple[str, str]]:
    """Return every (purpose, recipient) that is permitted at an instant."""
    return {
        (purpose, recipient)
        for purpose in PURPOSES
        for recipient in recipients(versions)
        if decide(versions, Question(purpose, recipient, at), zone).permitted
    }


def recipients(versions: Iterable[ConsentVersion]) -> set[str]:
    """Return every recipient that a consent names, as `Question.recipient`, and any ("")."""
    found = {""}
    for version in versions:
        _gather(version.resource.get("provision") or {}, found)
    return found


def _gather(rule: Resource, found: set[str]) -> None:
    for actor in rule.get("actor") or []:
        reference = actor.get("reference") or {}
        identifier = reference.get("identifier") or {}
        if literal := reference.get("reference"):
            found.add(literal)
        if identifier.get("value"):
            found.add(f"{identifier.get('system', '')}|{identifier['value']}")
    for nested in rule.get("provision") or []:
        _gather(nested, found)


def _opinion(
    state: ConsentVersion,
    versions: Sequence[ConsentVersion],
    question: Question,
    zone: tzinfo,
) -> _Opinion:
    given = _given_at(state, zone) or _LONG_AGO
    if stop := _stop(state, versions, zone):
        return _Opinion(Verdict(Effect.SILENT, stop.ended or "NOT_ACTIVE"), given, stop)
    return _Opinion(judge(state.resource, question, zone), given, state)


def _stop(
    state: ConsentVersion, versions: Sequence[ConsentVersion], zone: tzinfo
) -> ConsentVersion | None:
    """Return the version because of which a consent does not stand; None when it is active."""
    if state.resource.get("status") != "active":
        return state
    ends = [v for v in versions if v.ended and (v.ends_all or v.key == state.key)]
    if not ends:
        return None
    last = max(ends, key=lambda v: v.recorded_at)
    given = _given_at(state, zone)
    return None if given and given > last.recorded_at else last


def _given_at(state: ConsentVersion, zone: tzinfo) -> datetime | None:
    """Return when it was signed: the earliest instant its dateTime can mean, never the future."""
    written = span(state.resource.get("dateTime"), zone)
    return min(written.start, state.recorded_at) if written else None


def _latest(versions: Sequence[ConsentVersion], zone: tzinfo) -> list[ConsentVersion]:
    """Return the state of each consent: its last signed version, and of those the last recorded.

    Recording order alone would let an old copy, submitted late, replace a newer consent.
    """
    latest: dict[str, ConsentVersion] = {}
    for version in versions:
        held = latest.get(version.key)
        if held is None or _age(version, zone) > _age(held, zone):
            latest[version.key] = version
    return list(latest.values())


def _age(version: ConsentVersion, zone: tzinfo) -> tuple[datetime, int]:
    return _given_at(version, zone) or _LONG_AGO, version.number
