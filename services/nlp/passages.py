"""Sentences with their place. Context never crosses a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.nlp.tokens import Token

SENTENCE_CHARS_MAX = 2_000
"""A longer run without an end is cut: context that far apart means nothing."""

END = re.compile(
    r"(?=[。！；？!?;.\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029])(?:"  # most characters end nothing
    # Not of "?stroke" and 诊断：？肺炎, where it doubts what follows.
    r"(?:[。！；]|(?:？|[!?](?![A-Za-z]))(?!(?<=[:：,，、(（\s].)[^\s,，;；。])(?!(?<=^.)\S))+"
    r"[”’」』）)\"']*"
    r"|;"
    r"|(?<!\b[A-Z])(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bvs)(?<!\.[A-Za-z])\.(?=\s|$)"
    r"|(?<=\.[A-Za-z])\.(?=\s{1,4}[A-Z]|$)"
    r"|(?:\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]))"
)
SHORTENED = re.compile(
    r"\b(?:hx|h/o|fhx|pmh|neg|pos|pt|pts|approx|dx|ddx|rx|sx|tx|fx|temp|resp|abd|ext|min|max|wt|ht"
    r"|yrs?|mos?|wks?|hrs?|w/o|s/p|c/o|r/o|b\.?i\.?d|t\.?i\.?d|q\.?d|incl|assoc|hosp|prev|poss|prob"
    r"|occ|ca|st|no|vs|dr|etc)\.$",
    re.IGNORECASE,
)
"""Of these a point in front of a small letter or a figure ends no sentence ("No hx. of asthma")."""
SHORTENED_CHARS = 10
LEADS_ON_ZH = frozenset("、及和或与")
LEADS_ON_EN = re.compile(
    r"(?:,|\b(?:of|or|and|any|for|with|without|no|denies|denied|the|an?|to|in|nor|by|from|has|have))"
    r"[ \t]{0,4}$",
    re.IGNORECASE,
)
"""A line that ends so goes on in the next, even where that begins with a capital."""
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
BULLET = re.compile(r"\s*(?:[-*•·●◆]|\(?[0-9]{1,2}[.)、．）])")


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence: [start, end) of the text, without the space around it."""

    start: int
    end: int


def is_chinese(tokens: Sequence[Token]) -> bool:
    """Tell the language of a passage: Chinese where there is at least as much Han as words."""
    firsts = "".join([token.key[:1] for token in tokens])
    if firsts.isascii():
        return False
    han = len(HAN.findall(firsts))
    return han > 0 and han >= sum(map(str.isalpha, firsts)) - han


def passages(text: str, start: int = 0, end: int | None = None) -> Iterator[Passage]:
    """Yield the sentences of text[start:end], in order, none empty, none overlapping.

    A line break ends a sentence unless the next line goes on in lower case without a bullet
    (an English note wrapped at a fixed width).
    """
    stop = len(text) if end is None else end
    first = start
    for found in END.finditer(text, start, stop):
        if found.group()[0] in "\r\n" and _goes_on(text, found.start(), found.end(), stop):
            continue
        if found.group() == "." and _is_shortened(text, found.end(), stop):
            continue
        yield from _trimmed(text, first, found.end())
        first = found.end()
    yield from _trimmed(text, first, stop)


def _is_shortened(text: str, after: int, stop: int) -> bool:
    following = text[after : min(after + 4, stop)].lstrip(" \t")[:1]
    if not (following.islower() or following.isdigit()):
        return False
    return SHORTENED.search(text[max(0, after - SHORTENED_CHARS) : after]) is not None


def _goes_on(text: str, before: int, after: int, stop: int) -> bool:
    following = text[after : min(after + 8, stop)]
    if before == 0 or not following.strip() or BULLET.match(following):
        return False
    begins = following.lstrip(" \t\u3000")[:1]
    written = text[max(0, before - SHORTENED_CHARS) : before].rstrip(" \t\u3000")
    if written[-1:] in LEADS_ON_ZH or (begins.isascii() and LEADS_ON_EN.search(written)):
        return True
    return begins.islower() and text[before - 1] not in ".:;!?。：；"


def _trimmed(text: str, start: int, end: int) -> Iterator[Passage]:
    for first in range(start, end, SENTENCE_CHARS_MAX):
        piece = text[first : min(first + SENTENCE_CHARS_MAX, end)]
        body = piece.strip()
        if not body:
            continue
        place = first + len(piece) - len(piece.lstrip())
        yield Passage(place, place + len(body))
