"""What a sentence holds besides mentions: values, procedures, and details of its problems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.nlp import amounts, context, durations, overdose, values
from services.nlp import details as told
from services.nlp import procedures as named
from services.nlp.context import Assertion, Certainty
from services.nlp.details import Detail, DetailKind, Place
from services.nlp.found import Found
from services.nlp.headings import Section
from services.nlp.terms import Kind, Term
from services.nlp.tokens import Token, narrow
from services.nlp.values import Value

COMMAS = frozenset(",;。")
ENDS = frozenset(";。")
COUNTED = frozenset(("Pregnancies", "Parity"))
UNDONE = re.compile(
    r"[ ]?(?:(?:was|were|is|are) )?(?:not|n't|never) (?:\w+ )?(?:required|needed|performed|done"
    r"|necessary|given|indicated|undertaken|attempted)\b|[ ]?(?:was|were) (?:aborted|deferred)\b"
    r"|[ ]?(?:未行|未做|未施行|未执行|未予|未进行)",
    re.IGNORECASE,
)
"""Behind an operation: it was not done."""
UNDONE_CHARS = 40
AROUND_TOKENS = 60
"""What is said of a procedure stands within so many: a list of hundreds would be read as often."""
ROUTE_TOKENS_MAX = 14
"""Between a medicine and its route stand its form and its dose."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A value a note states."""

    value: Value
    section: Section
    other_person: bool = False
    historical: bool = False
    time: Detail | None = None
    """When, where its sentence says so."""


def measurements(text: str, tokens: Sequence[Token], section: Section) -> list[Measurement]:
    """Return the values in the sentence made of `tokens`."""
    found = values.find(text, tokens, section)
    if not found:
        return []
    firsts = {token.start: place for place, token in enumerate(tokens)}
    places = [firsts[each.start] for each in found]
    ranges = [context.Range(place, place + 1) for place in places]
    said = context.assertions(tokens, ranges)
    when = told.times(text, tokens, [Place(place, place + 1) for place in places])
    family = section is Section.FAMILY_HISTORY
    return [
        Measurement(
            value,
            section,
            family or what.other_person,
            is_over(value, what),
            next(iter(time), None),
        )
        for value, what, time in zip(found, said, when, strict=True)
        if not what.hypothetical  # "if BP > 160": a limit, measured by nobody
    ]


def is_over(value: Value, said: Assertion) -> bool:
    """Tell whether a value is of an earlier time; how often somebody was pregnant is not."""
    return said.historical and value.en not in COUNTED


def procedures(
    text: str, tokens: Sequence[Token], beside: Sequence[context.Range]
) -> Iterator[tuple[Found, Assertion]]:
    """Yield the procedures in a sentence with what is said of them.

    A finding behind an examination (未见异常, "negative") does not deny that it was done, so only
    what stands before it can.
    """
    for found in named.find(text, tokens):
        first = max(0, found.first - AROUND_TOKENS)
        around = tokens[first : found.last + AROUND_TOKENS]
        own = context.Range(found.first - first, found.last - first, is_act=True)
        others = [
            replace(each, first=each.first - first, last=each.last - first)
            for each in beside
            if first <= each.first
            and each.last <= first + len(around)
            and (each.last <= found.first or found.last <= each.first)
        ]
        whole = sorted([*others, own], key=lambda each: each.first)
        said = context.assertions(around, whole)[whole.index(own)]
        if said.certainty is Certainty.NEGATED or said.resolved:
            before = [each for each in whole if each.last <= own.last]
            said = context.assertions(around[: own.last], before)[-1]
        after = narrow(text[found.end : found.end + UNDONE_CHARS])
        if UNDONE.match(after):
            said = Assertion(Certainty.NEGATED)
        if said.certainty is Certainty.UNCERTAIN and not (said.planned or said.hypothetical):
            said = replace(said, certainty=Certainty.AFFIRMED)  # what it shows is in doubt
        yield found, replace(said, resolved=False)


def times(text: str, tokens: Sequence[Token], found: Sequence[Found]) -> list[list[Detail]]:
    """Return when each procedure of a sentence was done, where it says so."""
    return told.times(text, tokens, [Place(each.first, each.last) for each in found])


def details(
    text: str, tokens: Sequence[Token], found: Sequence[Found], said: Sequence[Assertion]
) -> list[list[Detail]]:
    """Return for each mention what else its sentence says of it; of what is denied, its side."""
    chosen = [
        number
        for number, (each, what) in enumerate(zip(found, said, strict=True))
        if each.kind is Kind.PROBLEM and what.certainty is not Certainty.NEGATED
    ]
    places = [
        Place(found[n].first, found[n].last, said[n].other_person, found[n].term) for n in chosen
    ]
    denied = [Place(each.first, each.last) for n, each in enumerate(found) if n not in chosen]
    result: list[list[Detail]] = [[] for _ in found]
    for number, route in _routes(tokens, found):
        result[number].append(route)
    for number, its in zip(chosen, told.find(text, tokens, places, denied), strict=True):
        result[number] = its
        begin, stop = _words_of(tokens, found, number)
        if many := _tablets(text, found[number], tokens[-1].end):
            its.append(many)
            if not any(each.kind is DetailKind.ONSET for each in its):
                its += told.first_time(text, tokens)
        if amounts.is_habit(found[number].term):
            its = [each for each in its if each.kind is DetailKind.RELATIVE]
            result[number] = [*its, *amounts.find(text, begin, stop)]
        elif lasting := durations.find(text, found[number].end, stop):
            result[number].append(_lasting(text, found[number].end, lasting.end))
    flat = narrow(text[tokens[0].start : tokens[-1].end])
    for number, each in enumerate(found):
        if each.kind is Kind.PROBLEM and said[number].certainty is Certainty.NEGATED:
            result[number] = told.side(flat, tokens, Place(each.first, each.last, term=each.term))
    _given_up(found, result)
    for its in result:
        its.sort(key=lambda each: each.start)
    return result


def _tablets(text: str, found: Found, end: int) -> Detail | None:
    """Return how many tablets an overdose was of."""
    of_one = found.term is not None and found.term.en == overdose.NAME
    return overdose.amount(text, found.start, end) if of_one else None


def _given_up(found: Sequence[Found], result: Sequence[list[Detail]]) -> None:
    """Tell of a habit what a later word of it in the sentence does: 吸烟40年，戒烟5年."""
    quits: dict[str, Detail] = {}
    for each, its in zip(reversed(found), reversed(result), strict=True):
        if each.term is None or not amounts.is_habit(each.term):
            continue
        own = next((one for one in its if one.kind is DetailKind.QUIT), None)
        if own is not None:
            quits[each.term.en] = own
        elif each.term.en in quits and its:
            its.append(quits[each.term.en])


def _routes(tokens: Sequence[Token], found: Sequence[Found]) -> Iterator[tuple[int, Detail]]:
    """Yield how medicines are given: 口服A, "IV A", or behind the name ("A 5 mg PO")."""
    owner = {
        place: number
        for number, each in enumerate(found)
        if each.kind is Kind.MEDICATION
        for place in range(each.first, each.last)
    }
    for match in told.ROUTES.find(tokens) if owner else ():
        if match.first in owner:
            continue
        number = owner.get(match.last)
        place = match.first - 1
        while number is None and place >= max(0, match.first - ROUTE_TOKENS_MAX):
            if tokens[place].key in ENDS:
                break
            number = owner.get(place)
            place -= 1
        if number is not None:
            start, end = tokens[match.first].start, tokens[match.last - 1].end
            yield number, Detail(DetailKind.ROUTE, start, end, match.value)


def _lasting(text: str, start: int, end: int) -> Detail:
    while start < end and (text[start].isspace() or text[start] in "，,”\"’'病史"):
        start += 1
    return Detail(DetailKind.DURATION, start, end)


def _words_of(tokens: Sequence[Token], found: Sequence[Found], number: int) -> tuple[int, int]:
    """Return where the words of a mention begin and end: its clause, up to that of the next."""
    return _clause(tokens, found, number), (
        _clause(tokens, found, number + 1) if number + 1 < len(found) else tokens[-1].end
    )


def _clause(tokens: Sequence[Token], found: Sequence[Found], number: int) -> int:
    least = found[number - 1].last if number else 0
    first = found[number].first
    while first > least and tokens[first - 1].key not in COMMAS:
        first -= 1
    return tokens[first].start


def reaction(start: int, end: int, term: Term | None) -> Detail:
    """Return what an allergy does as a detail of it."""
    word = told.Word(DetailKind.REACTION, term.en, term.zh, term.code) if term else None
    return Detail(DetailKind.REACTION, start, end, word)


def is_given_up(term: Term | None, found: Sequence[Detail]) -> bool:
    """Tell whether a habit is given up."""
    return amounts.is_habit(term) and any(each.kind is DetailKind.QUIT for each in found)
