"""Measures what the rules say of single mentions, per category: precision and recall.

The sets are tables of sentence, mention and expected categories (tests/nlp/data/context_*.tsv).
They are split by the hash of the sentence: rules are written with the errors of the `dev` half
before one's eyes; of the `held-out` half no error is ever printed.

Run: python training/nlp/measure_context.py [--set zh] [--half held-out] [--errors]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.nlp import context, entities, reading
from services.nlp.found import Found, of_tokens
from services.nlp.passages import passages
from services.nlp.sections import sections
from services.nlp.terms import Kind
from services.nlp.tokens import Token, tokenize

DATA = Path(__file__).parents[2] / "tests" / "nlp" / "data"
HALVES = ("dev", "held-out")
CATEGORIES = (
    *("present", "negated", "possible", "conditional"),
    *("historical", "family", "planned", "resolved"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One mention in a sentence and what the sentence says of it."""

    sentence: str
    mention: str
    expected: frozenset[str]
    group: str = ""
    """What its sentence is an example of, where the set says so."""

    @property
    def half(self) -> str:
        """dev or held-out, by the SHA-256 of the sentence."""
        return HALVES[hashlib.sha256(self.sentence.encode()).digest()[0] & 1]


def cases(path: Path) -> Iterator[Case]:
    """Yield the rows of a set; in a sentence \\n is the end of a line."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    for line in lines[1:]:
        sentence, mention, expected, *group = line.split("\t")
        text = sentence.replace("\\n", "\n")
        yield Case(text, mention, frozenset(expected.split("+")), *group)


def said(text: str, start: int, end: int) -> frozenset[str]:
    """Return the categories the rules give to text[start:end] among the mentions of its sentence.

    It is taken for a mention even where no table holds it, so that context alone is measured.

    Raises
    ------
    ValueError
        No sentence holds the place.
    """
    for section in sections(text):
        for passage in passages(text, section.start, section.end):
            if passage.start <= start < passage.end:
                tokens = tokenize(text[passage.start : passage.end], passage.start)
                found = entities.find(text, tokens, section.section)
                own = _own(tokens, found, start, end)
                places = [
                    each for each in found if each.last <= own.first or own.last <= each.first
                ]
                places = sorted([*places, own], key=lambda each: each.first)
                ranges = [reading.range_of(text, each) for each in places]
                what = context.assertions(tokens, ranges)[places.index(own)]
                return categories(reading.in_section(own, what, section))
    raise ValueError("no sentence holds the place")


def _own(tokens: list[Token], found: list[Found], start: int, end: int) -> Found:
    inside = [n for n, token in enumerate(tokens) if start <= token.start < end]
    same = [each for each in found if (each.start, each.end) == (start, end)]
    return same[0] if same else of_tokens(Kind.PROBLEM, tokens, inside[0], inside[-1] + 1)


def categories(what: context.Assertion) -> frozenset[str]:
    """Return the names a set uses for an assertion."""
    certain = what.certainty
    open_end = what.planned or what.hypothetical
    named = {
        "negated": certain is context.Certainty.NEGATED and not what.resolved,
        "possible": certain is context.Certainty.UNCERTAIN and not open_end,
        "conditional": what.hypothetical,
        "historical": what.historical and not what.resolved,
        "family": what.other_person,
        "planned": what.planned,
        "resolved": what.resolved,
    }
    return frozenset(name for name, holds in named.items() if holds) or frozenset(("present",))


def measure(path: Path, half: str, *, errors: bool = False) -> dict[str, dict[str, float]]:
    """Return precision, recall and number per category, and under `all` the share all right."""
    hits: Counter[str] = Counter()
    given: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    right = total = 0
    for case in cases(path):
        if case.half != half:
            continue
        start = case.sentence.index(case.mention)
        found = said(case.sentence, start, start + len(case.mention))
        total, right = total + 1, right + (found == case.expected)
        hits.update(found & case.expected)
        given.update(found)
        wanted.update(case.expected)
        if errors and half == "dev" and found != case.expected:
            told = f"{'+'.join(sorted(case.expected))} <> {'+'.join(sorted(found))}"
            print(told, "|", case.mention, "|", case.sentence, file=sys.stderr)
    figures = {
        name: {
            "items": wanted[name],
            "precision": round(hits[name] / max(given[name], 1), 3),
            "recall": round(hits[name] / max(wanted[name], 1), 3),
        }
        for name in CATEGORIES
    }
    return figures | {"all": {"items": total, "accuracy": round(right / max(total, 1), 3)}}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="zh", help="name of the set: zh or en")
    parser.add_argument("--half", default="held-out", choices=HALVES)
    parser.add_argument("--errors", action="store_true", help="print the errors of the dev half")
    arguments = parser.parse_args()
    path = DATA / f"context_{arguments.set}.tsv"
    print(json.dumps(measure(path, arguments.half, errors=arguments.errors), indent=1))


if __name__ == "__main__":
    main()
