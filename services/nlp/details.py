"""What else a sentence says of its problems: whose, how bad, where, since when, how large.

Each detail has its own place. A word belongs to the problem it stands in, or directly before, or
directly behind; a time to what follows it; a size to the lesion it stands beside. Sides are found
by `sides`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from services.nlp import detail_times, sides, sizes, tables
from services.nlp.phrases import Match, Phrases
from services.nlp.sides import Side
from services.nlp.terms import Term
from services.nlp.tokens import Token, is_han, narrow


class DetailKind(Enum):
    """What is said."""

    RELATIVE = "relative"
    SEVERITY = "severity"
    SIDE = "side"
    SITE = "site"
    COURSE = "course"
    ONSET = "onset"
    DURATION = "duration"
    AMOUNT = "amount"
    QUIT = "quit"
    SIZE = "size"
    ROUTE = "route"
    REACTION = "reaction"


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the tables."""

    kind: DetailKind | None
    """None: it only looks like one (胃镜, "mild exertion")."""
    en: str
    zh: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Detail:
    """One thing said, at [start, end) of the text."""

    kind: DetailKind
    start: int
    end: int
    word: Word | None = None
    """None where the text alone says it: a time, an amount, a size."""


@dataclass(frozen=True, slots=True)
class Place:
    """A problem as tokens [first, last) of its sentence, and whether it is somebody else's."""

    first: int
    last: int
    is_other: bool = False
    term: Term | None = None


def _load() -> Iterator[tuple[str, Word]]:
    for table, kind in (("details", ""), ("sites", "site"), ("relatives", "relative")):
        for row in tables.rows(table):
            named = kind or row["kind"]
            own = None if named == "none" else DetailKind(named)
            word = Word(own, row["en"], row["zh"], row.get("code", ""))
            for name in (row["en"], *tables.names(row["names_en"])):
                yield name.lower(), word
            for name in (row["zh"], *tables.names(row["names_zh"])):
                yield name, word


WORDS: Phrases[Word] = Phrases(_load())
SIDES = {
    Side.LEFT: Word(DetailKind.SIDE, "left", "左侧"),
    Side.RIGHT: Word(DetailKind.SIDE, "right", "右侧"),
    Side.BOTH: Word(DetailKind.SIDE, "bilateral", "双侧"),
}
SIDE_OF = {word: side for side, word in SIDES.items()}


def _load_routes() -> Iterator[tuple[str, Word]]:
    for row in tables.rows("routes"):
        word = Word(DetailKind.ROUTE, row["en"], row["zh"])
        for name in (row["zh"], *tables.names(row["names_zh"])):
            yield name, word
        for name in (row["en"], *tables.names(row["names_en"])):
            yield name.lower(), word


ROUTES: Phrases[Word] = Phrases(_load_routes())
SEPARATORS = frozenset(",;:。.()")
LOBE = "lobe of lung"
ENDS_LOBE = frozenset(",;。.)")
SIDE_WORDS = frozenset(("left", "right", "bilateral", "左", "右", "双"))
LINKS = frozenset(("in", "of", "at", "on", "over", "to", "the", "his", "her", "along", "around"))
DENIED = frozenset(("无", "未", "不", "没", "no", "not", "without"))
BEFORE_ZH, BEFORE_EN, BEHIND_MAX = 10, 4, 6
"""Tokens that may stand between a word and its problem."""


def find(
    text: str, tokens: Sequence[Token], places: Sequence[Place], denied: Sequence[Place] = ()
) -> list[list[Detail]]:
    """Return for each problem of a sentence, in their order, what else is said of it.

    Of what is `denied` nothing is said, but it keeps a size from what stands before it.
    """
    result: list[list[Detail]] = [[] for _ in places]
    if not places:
        return result
    owner = [-1] * len(tokens)
    for number, place in enumerate(places):
        owner[place.first : place.last] = [number] * (place.last - place.first)
    relatives: list[Match[Word]] = []
    for match in WORDS.find(tokens):
        kind = match.value.kind
        if kind is DetailKind.SIDE:
            continue
        if kind is DetailKind.RELATIVE:
            relatives.append(match)
        elif kind and (number := _owner(tokens, owner, match, kind)) >= 0:
            result[number].append(_of(tokens, match, kind))
        elif match.value.en.endswith(LOBE) and (number := _before_comma(tokens, owner, match)) >= 0:
            whole = narrow(text[tokens[0].start : tokens[-1].end])
            elsewhere = any(
                each.kind is DetailKind.SITE and each.word and each.word.en != "lung"
                for each in result[number]
            )
            if not elsewhere and not side(whole, tokens, places[number]):
                result[number].append(_of(tokens, match, DetailKind.SITE))
                result[number] += side(whole, tokens, Place(match.first, match.last))
    _relatives(tokens, places, relatives, result)
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    for place, its in zip(places, result, strict=True):
        if all(each.kind is not DetailKind.SIDE for each in its):
            its += side(flat, tokens, place)
    if not flat.isalpha():
        spans = _spans(tokens, places)
        others = [tokens[p.first].start - start for p in denied]
        for number, first, last in sizes.find(flat, spans, others):
            result[number].append(Detail(DetailKind.SIZE, start + first, start + last))
    for number, first, last in detail_times.find(flat, _spans(tokens, places)):
        result[number].append(Detail(DetailKind.ONSET, start + first, start + last))
    return [sorted(each, key=lambda detail: detail.start) for each in result]


def _before_comma(tokens: Sequence[Token], owner: Sequence[int], match: Match[Word]) -> int:
    """Return the problem that a lobe ends: "pneumonia, right lower lobe", 肺炎（右下叶）."""
    if match.last < len(tokens) and tokens[match.last].key not in ENDS_LOBE:
        return -1
    place = match.first - 1
    if place >= 0 and tokens[place].key in SIDE_WORDS:
        place -= 1
    opened = place >= 1 and tokens[place].key in (",", "(")
    return owner[place - 1] if opened else -1


def side(flat: str, tokens: Sequence[Token], place: Place) -> list[Detail]:
    """Return the side of a problem as a detail; `flat` is the sentence in its plain form."""
    start = tokens[0].start
    first, last = tokens[place.first].start - start, tokens[place.last - 1].end - start
    found = sides.of_term(flat, first, last, place.term)
    if found is None:
        return []
    return [Detail(DetailKind.SIDE, start + found.start, start + found.end, SIDES[found.side])]


def times(text: str, tokens: Sequence[Token], places: Sequence[Place]) -> list[list[Detail]]:
    """Return for each place of a sentence when it was, as far as the sentence tells."""
    result: list[list[Detail]] = [[] for _ in places]
    start = tokens[0].start
    flat = narrow(text[start : tokens[-1].end])
    for number, first, last in detail_times.find(flat, _spans(tokens, places)):
        result[number].append(Detail(DetailKind.ONSET, start + first, start + last))
    return result


def _spans(tokens: Sequence[Token], places: Sequence[Place]) -> list[tuple[int, int]]:
    """Return where places stand in their sentence."""
    start = tokens[0].start
    return [(tokens[p.first].start - start, tokens[p.last - 1].end - start) for p in places]


def first_time(text: str, tokens: Sequence[Token]) -> list[Detail]:
    """Return the first time a sentence tells, of whatever."""
    start = tokens[0].start
    match = detail_times.TIME.search(narrow(text[start : tokens[-1].end]))
    if match is None:
        return []
    return [Detail(DetailKind.ONSET, start + match.start(), start + match.end())]


def _of(tokens: Sequence[Token], match: Match[Word], kind: DetailKind) -> Detail:
    start, end = tokens[match.first].start, tokens[match.last - 1].end
    return Detail(kind, start, end, match.value)


def _owner(
    tokens: Sequence[Token], owner: Sequence[int], match: Match[Word], kind: DetailKind
) -> int:
    """Return the number of the problem a word belongs to; -1 for none."""
    if owner[match.first] >= 0:
        return owner[match.first]
    before = {token.key for token in tokens[max(0, match.first - 2) : match.first]}
    if kind is DetailKind.COURSE and before & DENIED:
        return -1
    after, gap = _following(tokens, owner, match.last)
    ends = match.last >= len(tokens) or tokens[match.last].key in SEPARATORS
    behind, distance = _preceding(tokens, owner, match.first, kind, over_comma=ends)
    if kind is DetailKind.COURSE and behind >= 0 and distance <= min(gap, 2):
        return behind
    return after if after >= 0 else behind


def _following(tokens: Sequence[Token], owner: Sequence[int], place: int) -> tuple[int, int]:
    reach = BEFORE_ZH if place < len(tokens) and is_han(tokens[place].key[:1]) else BEFORE_EN
    for gap in range(reach + 1):
        if place + gap >= len(tokens) or tokens[place + gap].key in SEPARATORS:
            break
        if owner[place + gap] >= 0:
            return owner[place + gap], gap
    return -1, BEHIND_MAX + 1


def _preceding(
    tokens: Sequence[Token],
    owner: Sequence[int],
    place: int,
    kind: DetailKind,
    *,
    over_comma: bool,
) -> tuple[int, int]:
    """Return the problem before a word; an English site or side needs a link (pain in the knee)."""
    linked = kind in (DetailKind.COURSE, DetailKind.SEVERITY)
    for gap in range(BEHIND_MAX):
        before = place - 1 - gap
        beside = gap == 0 and over_comma and kind is DetailKind.COURSE
        if before >= 0 and beside and tokens[before].key == ",":
            continue  # "edema, improving"
        if before < 0 or tokens[before].key in SEPARATORS:
            break
        if owner[before] >= 0:
            near = gap <= 3 if kind in (DetailKind.COURSE, DetailKind.SEVERITY) else True
            return (owner[before], gap) if linked and near else (-1, BEHIND_MAX + 1)
        if tokens[before].key == "with":
            break
        linked = linked or tokens[before].key in LINKS
    return -1, BEHIND_MAX + 1


def _relatives(
    tokens: Sequence[Token],
    places: Sequence[Place],
    found: Sequence[Match[Word]],
    result: list[list[Detail]],
) -> None:
    """Give each problem of somebody else the relative last named before it, or right behind it."""
    number = 0
    for place, details in zip(places, result, strict=True):
        while number + 1 < len(found) and found[number + 1].first < place.first:
            number += 1
        if not place.is_other or not found:
            continue
        between = tokens[place.last : found[number].first]
        if len(between) <= BEHIND_MAX and all(each.key not in SEPARATORS for each in between):
            details.append(_of(tokens, found[number], DetailKind.RELATIVE))
