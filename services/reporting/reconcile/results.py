"""Values and words of the notes about results, against the results of the same analyte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dxmesh.labs.v1 import lab_findings_pb2 as labs
from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.reporting import groups, lab_names, stated, tables
from services.reporting.analytes import ANALYTES, analyte_of
from services.reporting.draft import Draft
from services.reporting.elements import is_date_time, when
from services.reporting.reconcile.model import Compared, Severity, Sort
from services.reporting.stated import Claim
from services.reporting.suggestions.facts import LANGUAGES
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Span
from services.reporting.words import say

NEAR = timedelta(days=7)
"""Results so long before the newest of the analyte are of another time than the note."""
AGREES_WITHIN, DIFFERS_FROM = 0.05, 0.20
"""Shares of the result: nearer it is the same value, farther another; between, nothing is said."""
CLAIMED = {row["term"]: (row["analyte"], row["word"]) for row in tables.rows("claimed")}
_OPPOSITE = {"high": "not-high", "low": "not-low"}
_HIGH = frozenset((labs.FLAG_HIGH, labs.FLAG_CRITICAL_HIGH))
_LOW = frozenset((labs.FLAG_LOW, labs.FLAG_CRITICAL_LOW))
_CRITICAL = frozenset((labs.FLAG_CRITICAL_HIGH, labs.FLAG_CRITICAL_LOW))


@dataclass(frozen=True, slots=True)
class _Shown:
    """A result with the Observation that holds it."""

    result: labs.LabResult
    place: str


Verdict = tuple[bool, _Shown]
"""Whether a claim agrees, and the result that shows it."""


def compare(draft: Draft, known: Known) -> Iterator[Compared]:
    """Yield each statement about a result once: what agrees, and what does not fit."""
    shown = _results(draft, known)
    told: set[tuple[str, str]] = set()
    for part in draft.parts:
        if not isinstance(part.findings, notes.NoteFindings) or not shown:
            continue
        for note_id, claim in _claims(part.findings):
            found = shown.get(claim.what, ())
            verdict = _verdict(claim, found) if found else _of_group(claim, shown)
            what = (claim.what, claim.word or f"{claim.number:g}")
            if verdict is None or what in told:
                continue
            told.add(what)
            span = Span(part.part_id, note_id, claim.start, claim.end)
            yield _compared(claim, verdict[0], verdict[1], span)


def _results(draft: Draft, known: Known) -> dict[str, list[_Shown]]:
    """Return the results of each analyte that are near its newest one."""
    found: dict[str, list[_Shown]] = {}
    for part in draft.parts:
        if not isinstance(part.findings, labs.LabFindings):
            continue
        for result in part.findings.results:
            analyte = analyte_of(result.analyte_id, result.loinc_code)
            place = known.places(part, result.observation_id)
            if analyte in ANALYTES and place and not result.HasField("not_interpreted"):
                found.setdefault(analyte, []).append(_Shown(result, place[0]))
    return {analyte: _near(shown) for analyte, shown in found.items()}


def _near(shown: Sequence[_Shown]) -> list[_Shown]:
    times = [
        when(each.result.effective_time) if is_date_time(each.result.effective_time) else None
        for each in shown
    ]
    stated_times = [time for time in times if time]
    if not stated_times:
        return list(shown)
    first = max(stated_times) - NEAR
    return [each for each, time in zip(shown, times, strict=True) if time is None or time >= first]


def _claims(found: notes.NoteFindings) -> Iterator[tuple[str, Claim]]:
    taken: set[tuple[str, str, int]] = set()
    for note_id, claim in stated.results(found):
        taken.add((note_id, claim.what, claim.end))
        yield note_id, claim
    for entity in found.entities:
        analyte, word = CLAIMED.get(entity.display_en, ("", ""))
        aside = entity.other_person or entity.historical or entity.planned or entity.conditional
        if not analyte or aside or entity.resolved or entity.section in stated.ELSEWHERE:
            continue
        if entity.certainty == notes.CERTAINTY_NEGATED:
            word = _OPPOSITE[word]
        elif entity.certainty != notes.CERTAINTY_AFFIRMED:
            continue
        span = entity.span
        if (span.note_id, analyte, span.end) not in taken:
            yield span.note_id, Claim(analyte, span.start, span.end, entity.text, None, word)


def _verdict(claim: Claim, found: Sequence[_Shown]) -> Verdict | None:
    """Return whether a claim agrees, and the result that shows it; None: neither can be said."""
    if claim.number is not None:
        return _of_number(claim.number, found)
    flagged = [each for each in found if each.result.flag]
    said = [(_fits(claim.word, each.result), each) for each in flagged]
    for fits, each in said:
        if fits:
            return True, each
    against = [each for fits, each in said if fits is False]
    if against and len(against) == len(said):
        return False, max(against, key=lambda each: each.result.flag in _CRITICAL)
    return None


def _of_group(claim: Claim, shown: Mapping[str, Sequence[_Shown]]) -> Verdict | None:
    """Return the result that a group called normal does not fit, a critical one first.

    That all fit is not told: which results the note means is not known.
    """
    if claim.word != "normal":
        return None
    members = groups.MEMBERS.get(claim.what, ())
    verdicts = [_verdict(claim, shown[each]) for each in members if each in shown]
    against = [each for each in verdicts if each and not each[0]]
    return max(against, key=lambda each: each[1].result.flag in _CRITICAL, default=None)


def _of_number(number: float, found: Sequence[_Shown]) -> Verdict | None:
    measured = [
        (abs(float(each.result.canonical_value) - number), float(each.result.canonical_value), each)
        for each in found
        if each.result.canonical_value and not each.result.comparator
    ]
    if not measured:
        return None
    distance, value, nearest = min(measured, key=lambda item: item[0])
    share = distance / abs(value) if value else (0.0 if distance == 0 else 1.0)
    if share <= AGREES_WITHIN:
        return True, nearest
    return (False, nearest) if share > DIFFERS_FROM else None


def _fits(word: str, result: labs.LabResult) -> bool | None:
    """Tell whether a word is right of a result; None when the flag does not say."""
    flag = result.flag
    if word in ("positive", "negative"):
        if flag not in (labs.FLAG_NORMAL, labs.FLAG_ABNORMAL):
            return None
        return (flag == labs.FLAG_ABNORMAL) is (word == "positive")
    if flag == labs.FLAG_ABNORMAL:
        return False if word == "normal" else None
    if word == "normal":
        return flag == labs.FLAG_NORMAL
    side = _HIGH if word.endswith("high") else _LOW
    return (flag in side) is not word.startswith("not-")


def _compared(claim: Claim, agrees: bool, shown: _Shown, span: Span) -> Compared:
    key = f"{claim.what}-{claim.word or 'value'}-{claim.start}"
    zh, en = (
        say(
            language,
            "reconciliation-agrees-item" if agrees else "conflict-result",
            quoted=claim.written,
            result=lab_names.item(language, shown.result),
        )
        for language in LANGUAGES
    )
    if agrees:
        return Compared(Sort.AGREEMENT, key, zh, en, (span,), (shown.place,), Severity.LOW)
    severity = Severity.HIGH if shown.result.flag in _CRITICAL else Severity.MODERATE
    return Compared(Sort.RESULT, key, zh, en, (span,), (shown.place,), severity)
