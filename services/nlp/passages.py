"""Sentences with their place. Context never crosses a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.nlp.tokens import Token, is_han

SENTENCE_CHARS_MAX = 2_000
"""A longer run without an end is cut: context that far apart means nothing."""

END = re.compile(
    r"(?:[。！？；]|[!?](?![A-Za-z]))+[”’」』）)\"']*"  # not of "?stroke"
    r"|;"
    r"|(?<!\b[A-Z])(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bvs)(?<!\.[A-Za-z])\.(?=\s|$)"
    r"|(?<=\.[A-Za-z])\.(?=\s{1,4}[A-Z]|$)"
    r"|(?:\r\n|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029])"
)
BULLET = re.compile(r"\s*(?:[-*•·●◆]|\(?[0-9]{1,2}[.)、．）])")


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence: [start, end) of the text, without the space around it."""

    start: int
    end: int


def is_chinese(tokens: Sequence[Token]) -> bool:
    """Tell the language of a passage: Chinese where there is at least as much Han as words."""
    han = sum(is_han(token.key[:1]) for token in tokens)
    return han > 0 and han >= sum(token.key[:1].isalpha() for token in tokens) - han


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
        yield from _trimmed(text, first, found.end())
        first = found.end()
    yield from _trimmed(text, first, stop)


def _goes_on(text: str, before: int, after: int, stop: int) -> bool:
    following = text[after : min(after + 8, stop)]
    if before == 0 or not following.strip() or BULLET.match(following):
        return False
    return following.lstrip(" \t")[:1].islower() and text[before - 1] not in ".:;!?。：；"


def _trimmed(text: str, start: int, end: int) -> Iterator[Passage]:
    for first in range(start, end, SENTENCE_CHARS_MAX):
        piece = text[first : min(first + SENTENCE_CHARS_MAX, end)]
        body = piece.strip()
        if not body:
            continue
        place = first + len(piece) - len(piece.lstrip())
        yield Passage(place, place + len(body))
