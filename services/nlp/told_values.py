"""What a summary tells besides mentions: values and operations, as the notes state them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.nlp import tables
from services.nlp.content import Measurement
from services.nlp.context import Certainty
from services.nlp.details import DetailKind
from services.nlp.headings import Section
from services.nlp.reading import Mention, Reading
from services.nlp.sides import find as find_side
from services.nlp.tokens import narrow

VALUES_MAX = 24
VITAL = frozenset(
    row["en"]
    for row in tables.rows("measurements")
    if row["kind"] in ("vital", "pressure", "gestation", "count")
)
EXAMS = frozenset(
    (
        *("Computed tomography", "Magnetic resonance imaging", "Chest X-ray", "Ultrasonography"),
        *("Echocardiography", "Electrocardiography", "Electroencephalography", "PET-CT"),
        *("CT angiography", "Vaccination", "Holter monitoring"),
    )
)
"""Of these what they show is told, not that they were done."""
UNITS_EN = {
    "次/分": "/min", "次/分钟": "/min", "次/min": "/min", "分": "", "周": "weeks", "公斤": "kg",
    "千克": "kg", "厘米": "cm", "米": "m", "毫升": "mL", "摄氏度": "℃", "毫米汞柱": "mmHg",
    "秒": "s", "克": "g", "斤": "jin",
}  # fmt: skip
IN_WORDS = {
    name: {"zh": zh, "en": en}
    for zh, en in (("阳性", "positive"), ("阴性", "negative"), ("弱阳性", "weakly positive"))
    for name in (zh, en)
}
Told = tuple[str, list[str], list[tuple[str, int, int]], Section]
"""Key of its words, items, sources, and section of a sentence."""


def values(readings: Sequence[Reading], language: str) -> Iterator[Told]:
    """Yield the vital signs and scores, and the results, that the notes state of the patient."""
    found = [
        (reading, each)
        for reading in readings
        for each in reading.measurements
        if not each.other_person and not each.historical
    ]
    if not found:
        return
    latest = _latest(readings)
    for key, vital, section in (
        ("values_vital-affirmed", True, Section.EXAMINATION),
        ("values_result-affirmed", False, Section.INVESTIGATIONS),
    ):
        items: dict[str, None] = {}
        sources: list[tuple[str, int, int]] = []
        for reading, each in found:
            if each.value.en == "Gestational age" and each is not latest:
                continue
            if (each.value.en in VITAL) is not vital or len(items) >= VALUES_MAX:
                continue
            items[_value(each, language)] = None
            sources.append((reading.note.note_id, each.value.start, each.value.end))
        if items:
            yield key, list(items), sources, section


def _latest(readings: Sequence[Reading]) -> Measurement | None:
    """Return how far a pregnancy has come: weeks told of earlier tests are not it."""
    weeks = [m for r in readings for m in r.measurements if m.value.en == "Gestational age"]
    return max(weeks, key=lambda m: int(m.value.value[:2].rstrip("+w ")), default=None)


def _value(each: Measurement, language: str) -> str:
    value = each.value
    said = IN_WORDS.get(narrow(value.value).lower(), {}).get(language, value.value)
    high = f"{'/' if value.en == 'Blood pressure' else '-'}{value.high}" if value.high else ""
    written = UNITS_EN.get(value.unit, value.unit) if language == "en" else value.unit
    unit = f" {written}" if written and written != "%" else written
    name = value.zh if language == "zh" else value.en
    return f"{name} {value.comparator}{said}{high}{unit}"


def operations(readings: Sequence[Reading], language: str) -> Iterator[Told]:
    """Yield what was done, what is planned and what was not done to the patient."""
    if not any(reading.procedures for reading in readings):
        return
    for certainty in (Certainty.AFFIRMED, Certainty.UNCERTAIN, Certainty.NEGATED):
        items: dict[str, None] = {}
        sources: list[tuple[str, int, int]] = []
        for reading in readings:
            for each in reading.procedures:
                said = each.said
                if said.certainty is not certainty or said.other_person or said.hypothetical:
                    continue
                exam = each.term is not None and each.term.en in EXAMS
                if (exam and not said.planned) or len(items) >= VALUES_MAX:
                    continue
                items[_operation(reading.note.text, each, language)] = None
                sources.append((each.note_id, each.start, each.end))
        if items:
            section = Section.PLAN if certainty is Certainty.UNCERTAIN else Section.UNSPECIFIED
            yield f"operations-{certainty.value}", list(items), sources, section


SIDE_CHARS = 100
"""Beyond what `sides` looks at around a name."""


def _operation(text: str, each: Mention, language: str) -> str:
    named = each.written
    if each.term:
        named = each.term.zh if language == "zh" else each.term.en
    facts = []
    first = max(0, each.start - SIDE_CHARS)
    near = narrow(text[first : each.end + SIDE_CHARS])
    sided = find_side(near, each.start - first, each.end - first)
    written = {side in each.written.lower() for side in ("左", "右", "left", "right")}
    if sided and written == {False}:
        facts.append(WORDS[f"side-{sided.side.value}"][language])
    when = next((d for d in each.details if d.kind is DetailKind.ONSET), None)
    if when and text[when.start : when.end].strip("年").isdigit():
        facts.append(text[when.start : when.end].strip("年"))
    if each.said.historical and not each.said.resolved:
        facts.append(WORDS["over"][language])
    if not facts:
        return named
    return f"{named}（{'，'.join(facts)}）" if language == "zh" else f"{named} ({', '.join(facts)})"


WORDS = {row["key"]: row for row in tables.rows("words")}
