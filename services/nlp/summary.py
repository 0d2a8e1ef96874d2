"""A short summary in the language of the report, made of sentences with known words alone.

Names come from the term tables, so a Chinese note yields English sentences and the other way
round. Only the chief complaint is quoted, where the note is in the report's language, and a
section of allergies or medications in which nothing was recognised. Each sentence lists where
in the notes it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.nlp.chart import Chart
from services.nlp.context import Certainty
from services.nlp.details import DetailKind
from services.nlp.headings import Section
from services.nlp.reading import Mention, Reading
from services.nlp.terms import Kind
from services.nlp.told_values import Told, operations, values
from services.nlp.wording import JOIN, listed, name_of, say, site_of

QUOTE_CHARS_MAX = 160
ORDER = (
    Section.CHIEF_COMPLAINT,
    Section.PRESENT_HISTORY,
    Section.PAST_HISTORY,
    Section.PERSONAL_HISTORY,
    Section.ALLERGIES,
    Section.MEDICATIONS,
    Section.FAMILY_HISTORY,
    Section.EXAMINATION,
    Section.INVESTIGATIONS,
    Section.DIAGNOSIS,
    Section.UNSPECIFIED,
)
CERTAINTIES = (Certainty.AFFIRMED, Certainty.UNCERTAIN, Certainty.NEGATED)
ELSEWHERE = frozenset(ORDER) - {
    Section.ALLERGIES,
    Section.MEDICATIONS,
    Section.FAMILY_HISTORY,
}
"""Where a medication counts besides its own section; a plan says what is not taken yet."""
QUOTED = frozenset((Section.ALLERGIES, Section.MEDICATIONS, Section.CHIEF_COMPLAINT))


@dataclass(frozen=True, slots=True)
class Source:
    """[start, end) of a note's text."""

    note_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, where it comes from, and which section it sums up."""

    text: str
    sources: tuple[Source, ...]
    section: Section


def summarize(readings: Sequence[Reading], language: str) -> list[Sentence]:
    """Return the sentences for all notes of a case together; none when nothing was found."""
    chart = Chart(readings)
    told = _by_section(chart)
    headed = QUOTED.intersection(each.section for r in readings for each in r.sections)
    quoted = _chief(readings, language)  # in place of the first section
    result = [quoted] if quoted else []
    for section in ORDER[len(result) :]:
        if mentions := told.get(section):
            result += _section(chart, mentions, section, language)
        elif section in headed:
            result += _as_written(readings, section, language)
        if further := FURTHER.get(section):
            result += further(chart, language)
    result += _stated(operations(readings, language), language)
    result += [*_resolved(chart, language), *_planned(chart, language)]
    return [*result, *_in_plan(chart, language)]


def _by_section(chart: Chart) -> dict[Section, list[Mention]]:
    """Return the mentions by the section they are told under."""
    told: dict[Section, list[Mention]] = {}
    for mention in chart.mentions:
        if section := _told_under(mention, chart):
            told.setdefault(section, []).append(mention)
    return told


def _section(
    chart: Chart, mentions: Sequence[Mention], section: Section, language: str
) -> Iterator[Sentence]:
    by_time = section is Section.PRESENT_HISTORY
    for time, told in chart.events(mentions) if by_time else [(None, mentions)]:
        for certainty in CERTAINTIES:
            chosen = [mention for mention in told if mention.said.certainty is certainty]
            if not chosen:
                continue
            key = f"{section.value}{'_at' if time else ''}-{certainty.value}"
            when = time.words(language) if time else ""
            text = say(key, language, when=when, items=listed(chosen, chart, language))
            sources = list(_sources(chosen, chart))
            if time:
                sources.insert(0, Source(chosen[0].note_id, time.start, time.end))
            yield Sentence(text, tuple(sources), section)


def _stated(found: Iterable[Told], language: str) -> Iterator[Sentence]:
    for key, items, places, section in found:
        text = say(key, language, items=JOIN[language].join(items))
        yield Sentence(text, tuple(Source(*place) for place in places), section)


def _others(chart: Chart, language: str) -> Iterator[Sentence]:
    """Yield what people have who are no relatives, a contact for example."""
    chosen = [
        m
        for m in chart.mentions
        if m.said.other_person
        and not chart.is_of_family(m)
        and m.said.certainty is Certainty.AFFIRMED
        and not (m.said.hypothetical or m.said.resolved or m.said.planned)
    ]
    if chosen:
        text = say("others-affirmed", language, items=listed(chosen, chart, language))
        yield Sentence(text, tuple(_sources(chosen, chart)), Section.OTHER)


def _resolved(chart: Chart, language: str) -> Iterator[Sentence]:
    chosen = [m for m in chart.mentions if m.said.resolved and not m.said.other_person]
    if chosen:
        text = say("resolved-negated", language, items=listed(chosen, chart, language))
        yield Sentence(text, tuple(_sources(chosen, chart)), chosen[0].section)


def _planned(chart: Chart, language: str) -> Iterator[Sentence]:
    chosen = [
        m
        for m in chart.mentions
        if m.said.planned and not m.said.other_person and not chart.is_operation(m)
    ]
    if chosen:
        text = say("planned-uncertain", language, items=listed(chosen, chart, language))
        yield Sentence(text, tuple(_sources(chosen, chart)), Section.PLAN)


def _in_plan(chart: Chart, language: str) -> Iterator[Sentence]:
    """Yield the medicines that a plan goes on with, changes, or forbids."""
    found = [
        m
        for m in chart.mentions
        if m.section is Section.PLAN
        and m.kind is Kind.MEDICATION
        and not (m.said.planned or m.said.hypothetical or m.said.other_person)
    ]
    given: dict[Certainty, list[Mention]] = {}
    for mention in found:
        ends = mention.said.historical or chart.stopped(mention)
        given.setdefault(Certainty.NEGATED if ends else mention.said.certainty, []).append(mention)
    for certainty in CERTAINTIES:
        if chosen := given.get(certainty):
            text = say(f"plan-{certainty.value}", language, items=listed(chosen, chart, language))
            yield Sentence(text, tuple(_sources(chosen, chart)), Section.PLAN)


def _elsewhere(chart: Chart, language: str) -> Iterator[Sentence]:
    """Yield the medications of other sections, but those their own section has in the same way."""
    named: set[tuple[str, Certainty]] = set()
    found: dict[Certainty, list[Mention]] = {}
    for mention in chart.mentions:
        said, name = mention.said, name_of(mention, language)
        not_there = said.other_person or said.hypothetical or said.planned
        if mention.kind is not Kind.MEDICATION or not_there:
            continue
        if mention.section is Section.MEDICATIONS:
            named.add((name, said.certainty))
        elif mention.section in ELSEWHERE:
            found.setdefault(said.certainty, []).append(mention)
    for certainty in CERTAINTIES:
        told = found.get(certainty, [])
        chosen = [m for m in told if (name_of(m, language), certainty) not in named]
        if chosen:
            key = f"medications_elsewhere-{certainty.value}"
            text = say(key, language, items=listed(chosen, chart, language))
            yield Sentence(text, tuple(_sources(chosen, chart)), Section.MEDICATIONS)


def _told_under(mention: Mention, chart: Chart) -> Section | None:
    """Return the section a mention is told under; None where it is told elsewhere or not there."""
    said = mention.said
    if said.hypothetical or said.resolved or said.planned:
        return None
    if (mention.note_id, mention.start) in chart.reactions:
        return None
    if mention.kind is Kind.ALLERGY:
        return None if said.other_person else Section.ALLERGIES
    if mention.kind is Kind.MEDICATION:
        told_of = mention.section is Section.MEDICATIONS and not said.other_person
        return Section.MEDICATIONS if told_of else None
    if said.other_person and not chart.is_of_family(mention):
        return None
    place = Section.FAMILY_HISTORY if said.other_person else chart.place(mention)
    if place is Section.FAMILY_HISTORY and not said.other_person:
        place = Section.UNSPECIFIED  # the patient's own, told where the family's was expected
    if place is not Section.PAST_HISTORY and chart.is_operation(mention):
        return None
    return None if place in (Section.ALLERGIES, Section.MEDICATIONS) else place


def _chief(readings: Sequence[Reading], language: str) -> Sentence | None:
    """Quote the first chief complaint written in the report's language."""
    for reading in readings:
        for each in reading.sections:
            body = reading.note.text[each.start : each.end]
            fits = each.section is Section.CHIEF_COMPLAINT and 0 < len(body) <= QUOTE_CHARS_MAX
            if fits and reading.note.language == language:
                quoted = " ".join(body.split()).strip('。.;； "“”')
                source = Source(reading.note.note_id, each.start, each.end)
                text = say("chief_complaint-quoted", language, text=quoted)
                return Sentence(text, (source,), each.section)
    return None


def _as_written(readings: Sequence[Reading], section: Section, language: str) -> Iterator[Sentence]:
    """Quote the start of a section in which nothing was recognised: it must not be lost."""
    key = (
        "chief_complaint-original"
        if section is Section.CHIEF_COMPLAINT
        else f"{section.value}-quoted"
    )
    for reading in readings:
        for each in reading.sections:
            if each.section is not section:
                continue
            end = min(each.end, each.start + QUOTE_CHARS_MAX)
            if body := " ".join(reading.note.text[each.start : end].split()):
                text = say(key, language, text=body + ("…" if end < each.end else ""))
                yield Sentence(text, (Source(reading.note.note_id, each.start, end),), section)
                return


def _values(chart: Chart, language: str) -> Iterator[Sentence]:
    yield from _stated(values(chart.readings, language), language)


FURTHER: Mapping[Section, Callable[[Chart, str], Iterator[Sentence]]] = {
    Section.MEDICATIONS: _elsewhere,
    Section.FAMILY_HISTORY: _others,
    Section.INVESTIGATIONS: _values,
}
"""What is told behind a section."""


def _sources(chosen: Iterable[Mention], chart: Chart) -> Iterator[Source]:
    """Yield where each mention stands, its side, dose and length of time included."""
    for mention in (each for one in chosen for each in (one, *one.reactions)):
        start, end = mention.start, mention.end
        if mention.dose or mention.lasts:
            end = mention.dose.end if mention.dose else mention.lasts.end if mention.lasts else end
        of_whom = (each for each in mention.details if each.kind is DetailKind.RELATIVE)
        for told in (chart.side(mention), site_of(mention), next(of_whom, None)):
            if told:
                start, end = min(start, told.start), max(end, told.end)
        yield Source(mention.note_id, start, end)
