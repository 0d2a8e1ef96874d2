"""All notes of a case together: what stands around a mention, as the summary asks for it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from services.nlp import stopped, timeline
from services.nlp.context import Certainty
from services.nlp.details import SIDE_OF, DetailKind
from services.nlp.headings import Section
from services.nlp.reading import Mention, Reading
from services.nlp.sides import Sided
from services.nlp.terms import Kind
from services.nlp.timeline import Time
from services.nlp.tokens import is_han, narrow

_PARAGRAPH = re.compile(r"\n[ \t]*\r?\n")
_HEADS = 0.5
"""Of the letters of its line, what a problem takes that heads an item of a plan."""
_DENIES = re.compile(r"否认|\bden(?:ies|ied|ying)\b", re.IGNORECASE)
_NO_HISTORY = re.compile(
    r"\b(?:no|denies|denied|without|negative for)(?: (?:any|known|prior|previous|past|personal))* "
    r"(?:h/o|hx|history)\b[^.;\n]*$",
    re.IGNORECASE,
)
_DENIAL_CHARS = 600
"""A denial stands so near before what it denies: a list would be read for each of its items."""
_MISPLACED = (Section.EXAMINATION, Section.PRESENT_HISTORY, Section.CHIEF_COMPLAINT)
_NOT_FAMILY = frozenset(("ROOM", "FRND", "NBOR"))
_APART = re.compile(r"\b(?:after|since|until|because|when|for which)\b", re.IGNORECASE)
"""Between a problem and a time behind it: the time is of something else."""
_PRESENT = re.compile(
    r"\s*(?:he|she|they|pt|(?:the )?patient|mr\.? \S+|ms\.? \S+|mrs\.? \S+)(?: also| currently)? "
    r"(?:reports|has|is|states|complains|notes|admits|endorses|feels|describes|continues|takes)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[。；;\n]|\.(?=\s|$)")


class Chart:
    """The notes of a case and what was read in them."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self.readings = tuple(readings)
        self.mentions = tuple(m for reading in readings for m in reading.mentions)
        self.reactions = frozenset(
            (each.note_id, each.start)
            for mention in self.mentions
            if not mention.said.other_person
            for each in mention.reactions
        )
        """Where the patient's allergies say what happened: told with the allergy alone."""
        self._places: dict[int, Section] = {}
        self._letters: dict[tuple[str, int], int] = {}
        """How many letters a line has, by where it begins: a line may hold many problems."""
        self._texts = {each.note.note_id: narrow(each.note.text) for each in readings}
        self._medicines = {
            each.note.note_id: [m.start for m in each.mentions if m.kind is Kind.MEDICATION]
            for each in readings
        }
        self._operations = {
            each.note.note_id: [(p.start, p.end) for p in each.procedures] for each in readings
        }
        self._told = {
            each.note.note_id: [
                _Told(self._texts[each.note.note_id], section.start, section.end)
                for section in each.sections
                if section.section is Section.PRESENT_HISTORY
            ]
            for each in readings
        }

    @staticmethod
    def side(mention: Mention) -> Sided | None:
        """Return the side of a problem; None where the note, or its name, has none."""
        for each in mention.details:
            if each.kind is DetailKind.SIDE and each.word in SIDE_OF:
                return Sided(SIDE_OF[each.word], each.start, each.end)
        return None

    def text(self, note_id: str, start: int, end: int) -> str:
        """Return text[start:end] of a note in its plain form."""
        return self._texts[note_id][start:end]

    def stopped(self, mention: Mention) -> bool:
        """Tell whether a medicine was stopped."""
        if mention.kind is not Kind.MEDICATION:
            return False
        text, starts = self._texts[mention.note_id], self._medicines[mention.note_id]
        place = bisect_right(starts, mention.start)
        following = starts[place] if place < len(starts) else len(text)
        return stopped.is_stopped(text, mention.start, mention.end, following)

    def is_of_family(self, mention: Mention) -> bool:
        """Tell whether what somebody else has is a relative's."""
        told = [each for each in mention.details if each.kind is DetailKind.RELATIVE]
        if told and told[0].word:
            return told[0].word.code not in _NOT_FAMILY
        return mention.section is Section.FAMILY_HISTORY

    def is_operation(self, mention: Mention) -> bool:
        """Tell whether a problem is the name of an operation, which is told as such."""
        operations = self._operations[mention.note_id]
        place = bisect_right(operations, mention.start, key=lambda each: each[0]) - 1
        return place >= 0 and mention.end <= operations[place][1]

    def _denied_history(self, mention: Mention) -> Section | None:
        """Return where a denial belongs that its section does not hold.

        Nobody denies on examination (查体：否认高血压); "no history of" is of the past.
        """
        if mention.said.certainty is not Certainty.NEGATED or mention.section not in _MISPLACED:
            return None
        text = self._texts[mention.note_id]
        edge = max(0, mention.start - _DENIAL_CHARS)
        ends = _SENTENCE_END.finditer(text, edge, mention.start)
        first = max((m.end() for m in ends), default=edge)
        before = text[first : mention.start]
        lasts = mention.term is not None and mention.term.use in ("chronic", "history")
        if mention.section is Section.EXAMINATION and _DENIES.search(before):
            return Section.PAST_HISTORY if lasts else Section.PRESENT_HISTORY
        if mention.section is not Section.EXAMINATION and _NO_HISTORY.search(before):
            return Section.PAST_HISTORY
        return None

    def place(self, mention: Mention) -> Section:
        """Return the section a mention is told under; each is looked at once."""
        found = self._places.get(id(mention))
        if found is None:
            found = self._places[id(mention)] = self._place(mention)
        return found

    def _place(self, mention: Mention) -> Section:
        """Return the section a mention is told under.

        A problem alone in its line of a plan ("Diabetes type II.") heads what is planned for it:
        it is an assessment.
        """
        if mention.section is not Section.PLAN or mention.kind is not Kind.PROBLEM:
            return self._denied_history(mention) or mention.section
        text = self._texts[mention.note_id]
        first = text.rfind("\n", 0, mention.start) + 1
        last = text.find("\n", mention.end)
        letters = self._letters.get((mention.note_id, first))
        if letters is None:
            letters = sum(map(str.isalpha, text[first : last if last >= 0 else len(text)]))
            self._letters[mention.note_id, first] = letters
        heads = sum(map(str.isalpha, mention.written)) >= _HEADS * letters
        return Section.DIAGNOSIS if heads else Section.PLAN

    def events(self, mentions: Sequence[Mention]) -> list[tuple[Time | None, list[Mention]]]:
        """Return mentions by the time they are told of, the oldest first; None: no time is told.

        What is over is told of no time of the present illness.
        """
        plain: list[Mention] = []
        found: dict[_Told, dict[Time, list[Mention]]] = {}
        for mention in mentions:
            told = self._told_in(mention)
            time = told.time_of(mention) if told else None
            if told is None or time is None or mention.said.historical:
                plain.append(mention)
            else:
                found.setdefault(told, {}).setdefault(time, []).append(mention)
        result: list[tuple[Time | None, list[Mention]]] = [(None, plain)] if plain else []
        for by_time in found.values():
            result += [(each, by_time[each]) for each in timeline.in_order(list(by_time))]
        return result

    def _told_in(self, mention: Mention) -> _Told | None:
        """Return the part of a present history that a mention stands in."""
        parts = self._told[mention.note_id]
        place = bisect_right(parts, mention.start, key=lambda each: each.start) - 1
        return parts[place] if place >= 0 and mention.start < parts[place].end else None


class _Told:
    """The times of one section, and which of them a mention is told of."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.start, self.end = start, end
        self._text = text
        self._times = list(timeline.times(text, start, end))
        self._starts = [each.start for each in self._times]
        self._ends = [each.end() for each in _SENTENCE_END.finditer(text, start, end)]
        self._is_chinese = any(map(is_han, text[start:end]))

    def time_of(self, mention: Mention) -> Time | None:
        """Return the time before a mention; in English one behind it in its sentence too.

        Where a sentence has no time, that of the sentence before goes on, but not beyond an empty
        line, and not for what is denied: "no fever" is seldom said of that time alone.
        """
        before = bisect_left(self._starts, mention.start) - 1
        if not self._is_chinese and before + 1 < len(self._times):
            first, last = self._sentence(mention.start)
            behind = self._times[before + 1]
            told_before = before >= 0 and self._times[before].start >= first
            apart = _APART.search(self._text, mention.end, behind.start) or self._lasts(mention)
            if behind.start < last and not told_before and not apart:
                return behind
        if before < 0 or not self._times[before].en:
            return None
        if _PARAGRAPH.search(self._text, self._times[before].end, mention.start):
            return None
        first = self._sentence(mention.start)[0]
        denied = mention.said.certainty is Certainty.NEGATED
        if self._times[before].start < first and (denied or self._is_now(mention, first)):
            return None
        return self._times[before]

    @staticmethod
    def _lasts(mention: Mention) -> bool:
        return mention.term is not None and mention.term.use == "chronic"

    def _is_now(self, mention: Mention, first: int) -> bool:
        """Tell whether an English sentence tells of today ("He reports leg swelling")."""
        if self._is_chinese:
            return False
        return self._lasts(mention) or _PRESENT.match(self._text, first) is not None

    def _sentence(self, place: int) -> tuple[int, int]:
        number = bisect_right(self._ends, place)
        first = self._ends[number - 1] if number else self.start
        return first, self._ends[number] if number < len(self._ends) else self.end
