"""A note read: its sections, and every mention with its place and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.nlp import acts, combined, content, context, doses, durations, entities, overdose
from services.nlp.content import Measurement
from services.nlp.context import Assertion, Certainty
from services.nlp.details import Detail
from services.nlp.doses import Dose
from services.nlp.durations import Duration
from services.nlp.found import Found
from services.nlp.headings import Section
from services.nlp.notes import Note
from services.nlp.passages import passages
from services.nlp.sections import SectionText, sections
from services.nlp.terms import Kind, Term
from services.nlp.tokens import Token, tokenize

MENTIONS_MAX = 1_000
"""Of a note with more, what comes later is kept only where it says something new."""
MENTIONS_HARD_MAX = 4_000
MEASURED_CHARS_MIN = 6
"""A shorter name with a figure ("B12", T2DM) is no measure."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One mention: text[start:end] of its note."""

    note_id: str
    kind: Kind
    start: int
    end: int
    written: str
    section: Section
    said: Assertion
    term: Term | None = None
    dose: Dose | None = None
    dose_written: str = ""
    lasts: Duration | None = None
    reactions: tuple[Mention, ...] = ()
    """Of an allergy: the problems the sentence names behind it."""
    details: tuple[Detail, ...] = ()
    """What else is said of it, each with its place."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in one note."""

    note: Note
    sections: tuple[SectionText, ...] = ()
    mentions: tuple[Mention, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    procedures: tuple[Mention, ...] = ()


def read(note: Note) -> Reading:
    """Return what is in a note; nothing for a note that is refused. Linear time."""
    if note.refusal:
        return Reading(note)
    found = tuple(sections(note.text))
    read = [
        _in_sentence(note, tokens, section)
        for section in found
        for passage in passages(note.text, section.start, section.end)
        if (tokens := tokenize(note.text[passage.start : passage.end], passage.start))
    ]
    return Reading(
        note,
        found,
        tuple(_limited(mention for mentions, _, _ in read for mention in mentions)),
        tuple(each for _, measured, _ in read for each in measured)[:MENTIONS_HARD_MAX],
        tuple(each for _, _, done in read for each in done)[:MENTIONS_HARD_MAX],
    )


AFFIRMED = Assertion()
Sentence = tuple[list[Mention], list[Measurement], list[Mention]]


def _in_sentence(note: Note, tokens: Sequence[Token], text: SectionText) -> Sentence:
    section = text.section
    found = entities.find(note.text, tokens, section)
    ranges = [range_of(note.text, each) for each in found]
    measured = content.measurements(note.text, tokens, section)
    done = list(_procedures(note, tokens, text, ranges))
    if not found:
        return [], measured, done
    said = context.assertions(tokens, ranges)
    ends = [each.start for each in found[1:]] + [tokens[-1].end]
    taken = [
        doses.find(note.text, each.end, end) if each.kind is Kind.MEDICATION else None
        for each, end in zip(found, ends, strict=True)
    ]
    if any(taken):
        taken = combined.doses(note.text, found, taken)
    mentions = [
        _mention(note, each, in_section(each, what, text), section, end, dose)
        for each, what, end, dose in zip(found, said, ends, taken, strict=True)
    ]
    details = content.details(note.text, tokens, found, [each.said for each in mentions])
    mentions = [_detailed(mention, its) for mention, its in zip(mentions, details, strict=True)]
    return _with_reactions(_taken(mentions)), measured, done


def _procedures(
    note: Note, tokens: Sequence[Token], text: SectionText, beside: Sequence[context.Range]
) -> Iterator[Mention]:
    done = list(content.procedures(note.text, tokens, beside))
    when = content.times(note.text, tokens, [found for found, _ in done]) if done else []
    for (found, said), details in zip(done, when, strict=True):
        is_open = text.section is Section.PLAN and said == AFFIRMED
        said = replace(said, certainty=Certainty.UNCERTAIN, planned=True) if is_open else said
        yield Mention(
            note.note_id,
            found.kind,
            found.start,
            found.end,
            note.text[found.start : found.end],
            text.section,
            in_section(found, said, text),
            found.term,
            details=tuple(details),
        )


def _detailed(mention: Mention, found: Sequence[Detail]) -> Mention:
    """Return a mention with its details; a habit given up is over."""
    if not found:
        return mention
    details = tuple(found)
    said = mention.said
    if content.is_given_up(mention.term, details) and said.certainty is Certainty.AFFIRMED:
        said = replace(said, historical=True)
    return replace(mention, details=details, said=said)


def range_of(text: str, found: Found) -> context.Range:
    """Return what context needs to know of a mention."""
    written = text[found.start : found.end]
    problem = found.kind is Kind.PROBLEM
    return context.Range(
        found.first,
        found.last,
        acts.is_act(found.kind, written),
        problem and acts.is_complaint(found.term, written),
        problem and any(map(str.isdigit, written)) and len(written) > MEASURED_CHARS_MIN,
    )


def _mention(
    note: Note,
    found: Found,
    said: Assertion,
    section: Section,
    next_start: int,
    dose: Dose | None,
) -> Mention:
    lasts = None
    if found.kind is Kind.PROBLEM:
        lasts = durations.find(note.text, found.end, next_start)
    return Mention(
        note.note_id,
        found.kind,
        found.start,
        found.end,
        note.text[found.start : found.end],
        section,
        said,
        found.term,
        dose,
        note.text[dose.start : dose.end] if dose else "",
        lasts,
    )


def _taken(mentions: list[Mention]) -> list[Mention]:
    """Return the mentions; what was taken in an overdose is not in use."""
    if not any(_is_overdose(each) for each in mentions):
        return mentions
    return [
        replace(each, said=replace(each.said, historical=True))
        if each.kind is Kind.MEDICATION and each.said.certainty is Certainty.AFFIRMED
        else each
        for each in mentions
    ]


def _is_overdose(mention: Mention) -> bool:
    of_one = mention.term is not None and mention.term.en == overdose.NAME
    return of_one and mention.said.certainty is Certainty.AFFIRMED and mention.written != ""


def _with_reactions(mentions: list[Mention]) -> list[Mention]:
    """Return the mentions, the problems right behind an allergy with it as well."""
    if all(each.kind is not Kind.ALLERGY for each in mentions):
        return mentions
    result: list[Mention] = []
    behind: list[Mention] = []
    for each in reversed(mentions):
        if each.kind is Kind.PROBLEM and each.said.certainty is Certainty.AFFIRMED:
            behind.insert(0, each)
        elif each.kind is Kind.ALLERGY and each.said.certainty is Certainty.NEGATED:
            behind = []
        elif each.kind is Kind.ALLERGY:
            told = [content.reaction(one.start, one.end, one.term) for one in behind]
            each = replace(each, reactions=tuple(behind), details=(*each.details, *told))
            behind = []
        else:
            behind = []
        result.append(each)
    return result[::-1]


def in_section(found: Found, said: Assertion, text: SectionText) -> Assertion:
    """Return the assertion with what the section and the name themselves say."""
    section = text.section
    chronic = found.term is not None and found.term.use in ("chronic", "history")
    if found.term and found.term.en in entities.HABITS and section in entities.TOLD:
        chronic = False  # 曾吸烟 is over
    reaction = found.kind is Kind.PROBLEM and section is Section.ALLERGIES
    # What is chronic is under control, not gone.
    resolved = said.resolved and not chronic
    certainty = Certainty.AFFIRMED if resolved is not said.resolved else said.certainty
    certainty = Certainty.NEGATED if found.denies else certainty
    watched = text.mood == "watch" and certainty is Certainty.AFFIRMED
    if text.mood and certainty is Certainty.AFFIRMED:
        certainty = Certainty.UNCERTAIN
    return Assertion(
        certainty,
        historical=resolved or reaction or (said.historical and not chronic),
        other_person=said.other_person or (section is Section.FAMILY_HISTORY and not said.own),
        resolved=resolved,
        hypothetical=(said.hypothetical or watched) and not found.denies,
        planned=said.planned,
        own=said.own,
    )


def _limited(mentions: Iterator[Mention]) -> Iterator[Mention]:
    known: set[tuple[object, ...]] = set()
    kept = 0
    for each in mentions:
        name = each.term.en if each.term else each.written.casefold()
        what = (each.kind, name, each.section, each.said)
        if kept < MENTIONS_MAX or what not in known:
            kept += 1
            yield each
        known.add(what)
        if kept >= MENTIONS_HARD_MAX:
            return
