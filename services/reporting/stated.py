"""What the notes state of results and vital signs: numbers ("血钾6.8mmol/L"), words ("血钾正常").

The numbers are those that the notes service read; the words are read here. Only what is said of
now: an earlier value, an aim, a condition or a plan is left out, and so are past and family history
and the plan. Linear in the length of the text. A number without a unit counts where it is a value
that a person can have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dxmesh.nlp.v1 import note_findings_pb2 as pb

from services.reporting import groups
from services.reporting.analytes import ANALYTES, BY_LOINC, VITALS, Analyte

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
ELSEWHERE = frozenset((pb.SECTION_PAST_HISTORY, pb.SECTION_FAMILY_HISTORY, pb.SECTION_PLAN))
NOT_NOW = re.compile(
    r"既往|曾|[年月周日天]前|以前|上次|外院|平素|平时|最高|最低|基线|目标|控制在|如果|若|一旦|监测|复查"
    r"|建议|拟|待查|预防|维持在|previous|prior|last (?:year|month|week)|history of|\bago\b|baseline"
    r"|goal|target|\bif\b|recheck|repeat|monitor|will |should|outside hospital",
    re.IGNORECASE,
)
"""A clause with one of these does not speak of the present."""
_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_CLAUSE = re.compile(r"[。；;！？!?\n]|(?<![0-9])[,.，](?![0-9])")
_BEFORE = r"(?<![前量化尿球接胞低高直间游离脑])"
_WORDS = {
    **dict.fromkeys(("未见升高", "未升高", "无升高", "不高", "无明显升高"), "not-high"),
    **dict.fromkeys(("升高", "增高", "偏高", "增多", "明显升高", "高"), "high"),
    **dict.fromkeys(("降低", "减低", "偏低", "下降", "减少", "低"), "low"),
    **dict.fromkeys(
        ("正常", "正常范围", "未见异常", "未见明显异常", "无异常", "无明显异常"), "normal"
    ),
    **dict.fromkeys(("within normal limits", "normal", "unremarkable"), "normal"),
    **dict.fromkeys(("阳性", "positive"), "positive"),
    **dict.fromkeys(("阴性", "negative"), "negative"),
    **dict.fromkeys(("elevated", "high", "raised", "increased"), "high"),
    **dict.fromkeys(("decreased", "reduced", "low"), "low"),
    **dict.fromkeys(("not elevated", "not raised"), "not-high"),
}
_WORD = "|".join(sorted(map(re.escape, _WORDS), key=len, reverse=True))
_LINK = (
    r"(?:\s|为|是|:|=|约|达|至|升|降|检测|检查|结果|均|都|明显|轻度|中度|重度|显著|稍|略|基本|大致"
)
_LINK += r"|在|处于|was|is|were|are|of|level|levels|remains|count){0,8}?"
_AFTER = re.compile(rf"{_LINK}(?P<word>{_WORD})", re.IGNORECASE)
_PREFIX = re.compile(
    r"(normal|elevated|high|raised|increased|low|decreased|reduced)\s+(?:serum |blood )?$",
    re.IGNORECASE,
)
_JOIN = re.compile(r"\s*(?:[、,，/]|和|及|与|and)?\s*")
PRESSURE = "85354-9"
"""LOINC code of a blood pressure: systolic, then diastolic."""
FAHRENHEIT_FROM = 60.0
"""A temperature from here on is in degrees Fahrenheit."""
_RANGES = {
    **{"sbp": (40, 300), "dbp": (10, 200), "temperature": (25, 45), "heart-rate": (20, 300)},
    **{"respiratory-rate": (4, 80), "spo2": (30, 100), "gcs": (3, 15)},
}


@dataclass(frozen=True, slots=True)
class Claim:
    """What a note states of one analyte or vital sign: text[start:end] of it."""

    what: str
    """Id of the analyte or of a group of them, or name of the vital sign."""
    start: int
    end: int
    written: str
    number: float | None = None
    """In the canonical unit."""
    word: str = ""
    """high, low, normal, not-high, positive, negative; empty for a number."""


def _pattern() -> tuple[re.Pattern[str], dict[str, Analyte]]:
    named = {name: each for each in ANALYTES.values() for name in each.names}
    named |= {name: Analyte(key, "", "", "", (), (), 0, 0) for name, key in groups.NAMES.items()}
    parts = []
    for name in sorted(named, key=len, reverse=True):
        escaped = re.escape(name)
        if name[0].isascii():
            escaped = rf"(?<![A-Za-z0-9]){escaped}(?![A-Za-z0-9])"
            parts.append(escaped if name.isupper() or len(name) <= 4 else f"(?i:{escaped})")
        else:
            parts.append(rf"{_BEFORE}{escaped}(?!脱|酯|清除|压积|分布|转移|受体|抗体|A1c)")
    lower = {name.casefold(): each for name, each in named.items()}
    return re.compile("|".join(parts)), lower


_NAMES, _BY_NAME = _pattern()


def results(found: pb.NoteFindings) -> Iterator[tuple[str, Claim]]:
    """Yield what the notes state of laboratory values, each with the id of its note."""
    flat = {note.note_id: note.text.translate(_WIDE) for note in found.notes}
    notes = {note.note_id: note for note in found.notes}
    for each in found.measurements:
        note_id, start = each.span.note_id, each.span.start
        said = note_id in notes and _counts(each) and _is_now(notes[note_id], flat[note_id], start)
        if said and (claim := _number(each)):
            yield note_id, claim
    for note in found.notes:
        for claim in _words(note, flat[note.note_id]):
            yield note.note_id, claim


def vital_signs(found: pb.NoteFindings) -> Iterator[tuple[str, Claim]]:
    """Yield the vital signs that the notes state, each with the id of its note."""
    notes = {note.note_id: note for note in found.notes}
    for each in found.measurements:
        note = notes.get(each.span.note_id)
        if note is None or not _counts(each, pressure=True):
            continue
        if not _is_now(note, note.text.translate(_WIDE), each.span.start):
            continue
        for what, value in _signs(each):
            low, high = _RANGES[what]
            if low <= value <= high:
                claim = Claim(what, each.span.start, each.span.end, each.text.strip(), value)
                yield note.note_id, claim


def _counts(each: pb.Measurement, *, pressure: bool = False) -> bool:
    """Tell whether a measurement is one value of the patient, of now."""
    aside = each.historical or each.other_person or each.comparator
    if not all(_DECIMAL.fullmatch(text) for text in (each.value, each.high) if text):
        return False
    return (
        bool(each.value) and not aside and (not each.high or (pressure and each.loinc == PRESSURE))
    )


def _signs(each: pb.Measurement) -> Iterator[tuple[str, float]]:
    if each.loinc == PRESSURE:
        if each.high:
            yield "sbp", float(each.value)
            yield "dbp", float(each.high)
    elif what := VITALS.get(each.loinc):
        value = float(each.value)
        if what == "temperature" and value >= FAHRENHEIT_FROM:
            value = (value - 32) / 1.8
        yield what, value


def _words(note: pb.NoteText, flat: str) -> Iterator[Claim]:
    waiting: list[re.Match[str]] = []
    for name in _NAMES.finditer(flat):
        if waiting and not _JOIN.fullmatch(flat, waiting[-1].end(), name.start()):
            waiting.clear()
        waiting.append(name)
        before = _PREFIX.search(flat, max(0, name.start() - 24), name.start())
        after = _AFTER.match(flat, name.end(), name.end() + 60)
        if before is None and after is None:
            continue
        if _is_now(note, flat, name.start()):
            yield from _claims(flat, waiting, before, after)
        waiting = []


def _claims(
    flat: str,
    names: list[re.Match[str]],
    before: re.Match[str] | None,
    after: re.Match[str] | None,
) -> Iterator[Claim]:
    """Yield what is said of the names of one list: a word is of all of them."""
    word = (after["word"] if after else before[1] if before else "").casefold()
    for name in names:
        start = before.start() if before and not after else name.start()
        end = after.end() if after else name.end()
        what = _BY_NAME[name[0].casefold()]
        yield Claim(what.id, start, end, flat[start:end].strip(), None, _WORDS[word])


def _number(each: pb.Measurement) -> Claim | None:
    """Return a measurement of one of our analytes in its canonical unit; None: of none."""
    named = _NAMES.match(each.text.translate(_WIDE).strip())
    own = BY_LOINC.get(each.loinc) or (_BY_NAME[named[0].casefold()].id if named else "")
    what = ANALYTES.get(own)
    if what is None or not what.unit:
        return None
    unit = each.unit.translate(_WIDE).lstrip("×*x ").strip()
    factors = {name.lstrip("×*x"): factor for name, factor in what.factors}
    if unit and unit not in factors:  # a unit that we do not know: nothing is guessed
        return None
    value = float(each.value) * factors.get(unit, 1.0)
    if not what.low <= value <= what.high:
        return None
    return Claim(what.id, each.span.start, each.span.end, each.text.strip(), value)


def _is_now(note: pb.NoteText, flat: str, place: int) -> bool:
    """Tell whether a place of a note speaks of the present illness."""
    section = pb.SECTION_UNSPECIFIED
    for each in note.sections:
        if each.body.start <= place < each.body.end:
            section = each.section
    if section in ELSEWHERE:
        return False
    start = max((m.end() for m in _CLAUSE.finditer(flat, max(0, place - 60), place)), default=0)
    start = max(start, place - 60, 0)
    end = _CLAUSE.search(flat, place, place + 40)
    return NOT_NOW.search(flat, start, end.start() if end else place + 40) is None
