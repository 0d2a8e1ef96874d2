"""A short summary in the language of the report, made of sentences with known words alone.

Names come from the term tables, so a Chinese note yields English sentences and the other way
round. Only the chief complaint is quoted, where the note is in the report's language, and a
section of allergies or medications in which nothing was recognised. Each sentence lists where
in the notes it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.nlp import tables
from services.nlp.context import Certainty
from services.nlp.headings import Section
from services.nlp.reading import Mention, Reading
from services.nlp.terms import Kind

ITEMS_MAX = 12
QUOTE_CHARS_MAX = 160
WORDS = {row["key"]: row for row in tables.rows("words")}
JOIN, FACTS_JOIN = {"zh": "、", "en": ", "}, {"zh": "，", "en": ", "}
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
    result: list[Sentence] = []
    for section in ORDER:
        if section is Section.CHIEF_COMPLAINT and (quoted := _chief(readings, language)):
            result.append(quoted)
            continue
        made = list(_section(readings, section, language))
        if not made and section in QUOTED:
            made = list(_as_written(readings, section, language))
        result += made
        if section is Section.MEDICATIONS:
            result += _elsewhere(readings, language)
    return result + list(_planned(readings, language))


def _section(readings: Sequence[Reading], section: Section, language: str) -> Iterator[Sentence]:
    mentions = [m for reading in readings for m in reading.mentions if _belongs(m, section)]
    for certainty in CERTAINTIES:
        key = f"{section.value}-{certainty.value}"
        chosen = [m for m in mentions if m.said.certainty is certainty]
        if key in WORDS and chosen:
            items = list(_items(chosen, language))
            text = _say(key, language, items=_listed(items, language))
            told = [each for mention in chosen for each in (mention, *mention.reactions)]
            yield Sentence(text, tuple(map(_source, told)), section)


def _planned(readings: Sequence[Reading], language: str) -> Iterator[Sentence]:
    chosen = [
        mention
        for reading in readings
        for mention in reading.mentions
        if mention.said.planned and not mention.said.other_person
    ]
    if chosen:
        items = _listed(list(_items(chosen, language)), language)
        text = _say("planned-uncertain", language, items=items)
        yield Sentence(text, tuple(map(_source, chosen)), Section.PLAN)


def _elsewhere(readings: Sequence[Reading], language: str) -> Iterator[Sentence]:
    """Yield the medications of other sections, but those their own section has in the same way."""
    named: set[tuple[str, Certainty]] = set()
    found: dict[Certainty, list[Mention]] = {}
    for mention in (m for reading in readings for m in reading.mentions):
        said, name = mention.said, _name(mention, language)
        not_there = said.other_person or said.hypothetical or said.planned
        if mention.kind is not Kind.MEDICATION or not_there:
            continue
        if mention.section is Section.MEDICATIONS:
            named.add((name, said.certainty))
        elif mention.section in ELSEWHERE:
            found.setdefault(said.certainty, []).append(mention)
    for certainty in CERTAINTIES:
        key = f"medications_elsewhere-{certainty.value}"
        chosen = [
            m for m in found.get(certainty, []) if (_name(m, language), certainty) not in named
        ]
        if key in WORDS and chosen:
            text = _say(key, language, items=_listed(list(_items(chosen, language)), language))
            yield Sentence(text, tuple(map(_source, chosen)), Section.MEDICATIONS)


def _belongs(mention: Mention, section: Section) -> bool:
    said = mention.said
    if said.hypothetical or said.resolved or said.planned:
        return False
    if mention.kind is Kind.ALLERGY:
        return section is Section.ALLERGIES and not said.other_person
    if mention.section is not section or said.other_person is not (
        section is Section.FAMILY_HISTORY
    ):
        return False
    if section is Section.ALLERGIES:
        return False
    return (mention.kind is Kind.MEDICATION) is (section is Section.MEDICATIONS)


def _items(chosen: Iterable[Mention], language: str) -> Iterator[str]:
    """Yield each concept once, with what is known of it anywhere in the section."""
    same: dict[str, list[Mention]] = {}
    for mention in chosen:
        same.setdefault(_name(mention, language), []).append(mention)
    for name, mentions in same.items():
        yield _with_facts(name, mentions, language)


def _with_facts(name: str, same: Sequence[Mention], language: str) -> str:
    dosed = next((m for m in same if m.dose), None)
    if dosed and dosed.dose:
        often = dosed.dose.frequency
        facts = [dosed.dose.amount, getattr(often, language) if often else ""]
        return _say("dose", language, name=name, facts=" ".join(f for f in facts if f))
    reactions = dict.fromkeys(_name(r, language) for m in same for r in m.reactions)
    lasts = next((m.lasts for m in same if m.lasts), None)
    facts = [lasts.words(language)] if lasts else list(reactions)
    if all(m.said.historical for m in same) and same[0].kind is Kind.PROBLEM:
        facts.append(WORDS["over"][language])
    if not facts:
        return name
    return _say("with", language, name=name, facts=FACTS_JOIN[language].join(facts))


def _name(mention: Mention, language: str) -> str:
    if mention.term is None:
        return mention.written
    return mention.term.zh if language == "zh" else mention.term.en


def _listed(items: Sequence[str], language: str) -> str:
    shown = JOIN[language].join(items[:ITEMS_MAX])
    if len(items) <= ITEMS_MAX:
        return shown
    more = str(len(items) - ITEMS_MAX)
    return _say("more", language, items=shown, count=str(len(items)), more=more)


def _chief(readings: Sequence[Reading], language: str) -> Sentence | None:
    """Quote the first chief complaint written in the report's language."""
    for reading in readings:
        for each in reading.sections:
            body = reading.note.text[each.start : each.end]
            fits = each.section is Section.CHIEF_COMPLAINT and 0 < len(body) <= QUOTE_CHARS_MAX
            if fits and reading.note.language == language:
                quoted = " ".join(body.split()).rstrip("。.;； ")
                source = Source(reading.note.note_id, each.start, each.end)
                text = _say("chief_complaint-quoted", language, text=quoted)
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
            end = min(each.end, each.start + QUOTE_CHARS_MAX)
            body = " ".join(reading.note.text[each.start : end].split())
            if each.section is section and body:
                text = _say(key, language, text=body + ("…" if end < each.end else ""))
                yield Sentence(text, (Source(reading.note.note_id, each.start, end),), section)
                return


def _source(mention: Mention) -> Source:
    end = mention.dose.end if mention.dose else mention.lasts.end if mention.lasts else mention.end
    return Source(mention.note_id, mention.start, end)


def _say(key: str, language: str, **facts: str) -> str:
    """Return a sentence; facts are put in literally, braces in them mean nothing."""
    text = WORDS[key][language]
    for name, value in facts.items():
        before, found, after = text.partition("{" + name + "}")
        text = before + value + after if found else text
    return text
