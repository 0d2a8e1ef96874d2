"""Measures the note rules on public sentences and notes. Development figures.

NegEx: each sentence marks one concept in capitals; negated or not, as the rules say of exactly
that span, on the whole set and on two halves by the SHA-256 of the sentence: errors are printed
of half 0 alone. ACI-Bench: the heading lines of visit notes. MTS-Dialog: the header of each text,
set before it in three forms, should be a section of the right kind, and the headings within the
texts ("RESPIRATORY: Clear.") be found. The sets are not in this repository (see their licences).

Run: python training/nlp/evaluate.py --negex negex_dev.tsv --notes aci_dev.csv --mts mts_dev.csv
[--errors]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.nlp import context, sections
from services.nlp.headings import Section
from services.nlp.passages import passages
from services.nlp.tokens import tokenize

HEADING = re.compile(r"[A-Z][A-Z /&,'\-]{2,59}")
"""A heading as ACI-Bench writes it: a line of its own in capitals."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence of the NegEx set."""

    number: str
    concept: str
    sentence: str
    negated: bool


def negex(path: Path) -> Iterator[Case]:
    """Yield the sentences of a NegEx file (number, blank, concept, sentence, label, …)."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield Case(row[0], row[2].strip(), row[3], row[4] == "Negated")


def span(case: Case) -> tuple[int, int] | None:
    """Return where the concept stands, in capitals or else as it is; None when it does not."""
    for concept, flags in ((case.concept.upper(), re.NOFLAG), (case.concept, re.I)):
        words = r"\s+".join(re.escape(word) for word in concept.split())
        if found := re.search(words, case.sentence, flags):
            return found.span()
    return None


def is_negated(text: str, start: int, end: int) -> bool:
    """Tell what the rules say of text[start:end] in its sentence."""
    for passage in passages(text):
        if passage.start <= start < passage.end:
            tokens = tokenize(text[passage.start : passage.end], passage.start)
            inside = [n for n, token in enumerate(tokens) if start <= token.start < end]
            place = context.Range(inside[0], inside[-1] + 1)
            (said,) = context.assertions(tokens, [place])
            return said.certainty is context.Certainty.NEGATED
    raise ValueError("the place is outside the text")


def score(pairs: list[tuple[bool, bool]]) -> dict[str, float]:
    """Return precision, recall and F1 of (expected, found) pairs."""
    counts = Counter(pairs)
    hits, false, missed = counts[True, True], counts[False, True], counts[True, False]
    precision, recall = hits / max(hits + false, 1), hits / max(hits + missed, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"items": len(pairs), "precision": precision, "recall": recall, "f1": f1}


def half(sentence: str) -> int:
    """Return which half a sentence is of."""
    return hashlib.sha256(sentence.encode()).digest()[0] & 1


def negation(path: Path, *, errors: bool) -> dict[str, float]:
    """Return the score on a NegEx file and the F1 of its halves; print what is wrong when asked."""
    pairs = []
    halves: dict[int, list[tuple[bool, bool]]] = {0: [], 1: []}
    for case in negex(path):
        place = span(case)
        if place is None:
            continue
        found = is_negated(case.sentence, *place)
        pairs.append((case.negated, found))
        halves[half(case.sentence)].append((case.negated, found))
        if errors and found is not case.negated and half(case.sentence) == 0:
            wanted = "negated" if case.negated else "affirmed"
            near = case.sentence[max(0, place[0] - 150) : place[1] + 100]
            print(case.number, wanted, "|", case.concept, "|", near, file=sys.stderr)
    return score(pairs) | {f"f1_half_{key}": score(own)["f1"] for key, own in halves.items()}


def headings(path: Path, *, errors: bool) -> dict[str, float]:
    """Return which share of heading lines is found, and which share gets a named section."""
    total = named = found = 0
    missed: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            note = row["note"]
            starts = {each.heading_start: each.section for each in sections.sections(note)}
            for match in re.finditer(r"(?m)^[ \t]*([^\n]+?)[ \t]*$", note):
                if not HEADING.fullmatch(match[1]):
                    continue
                total += 1
                section = starts.get(match.start(1))
                found += section is not None
                named += section not in (None, Section.OTHER)
                if section in (None, Section.OTHER):
                    missed[match[1]] += 1
    if errors:
        print(missed.most_common(), file=sys.stderr)
    return {"items": total, "found": found / max(total, 1), "named": named / max(total, 1)}


MTS = {
    "FAM/SOCHX": "personal_history", "GENHX": "present_history", "PASTMEDICALHX": "past_history",
    "CC": "chief_complaint", "PASTSURGICAL": "past_history", "ALLERGY": "allergies",
    "ROS": "present_history", "MEDICATIONS": "medications", "ASSESSMENT": "diagnosis",
    "EXAM": "examination", "DIAGNOSIS": "diagnosis", "DISPOSITION": "plan", "PLAN": "plan",
    "EDCOURSE": "present_history", "IMMUNIZATIONS": "personal_history",
    "IMAGING": "investigations", "GYNHX": "personal_history", "PROCEDURES": "investigations",
    "OTHER_HISTORY": "past_history", "LABS": "investigations",
}  # fmt: skip
FORMS = ("{header}\n{text}", "{header}: {text}", "Some text before.\n{header}:\n{text}")
INNER = re.compile(r"(?m)(?:^|(?<=[.;] ))(?P<name>[A-Z][A-Za-z /&,'\-]{1,40}):(?= )")


def mts_headings(path: Path, *, errors: bool) -> dict[str, float]:
    """Return the share of headers that become a section of their kind, and of inner ones found."""
    total = right = inner = inner_found = 0
    missed: Counter[str] = Counter()
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            header, body = row["section_header"], row["section_text"]
            for form in FORMS:
                note = form.format(header=header, text=body)
                first = note.index(header)
                found = {each.heading_start: each.section.value for each in sections.sections(note)}
                total, right = total + 1, right + (found.get(first) == MTS[header])
                if found.get(first) != MTS[header]:
                    missed[header] += 1
            starts = {each.heading_start for each in sections.sections(body)}
            for match in INNER.finditer(body):
                inner, inner_found = inner + 1, inner_found + (match.start("name") in starts)
                if match.start("name") not in starts:
                    missed["in text: " + match["name"]] += 1
    if errors:
        print(missed.most_common(), file=sys.stderr)
    return {
        "items": total,
        "right": right / max(total, 1),
        "inner_items": inner,
        "inner_found": inner_found / max(inner, 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--negex", type=Path, help="NegEx sentences, tab-separated")
    parser.add_argument("--notes", type=Path, help="ACI-Bench notes, CSV")
    parser.add_argument("--mts", type=Path, help="MTS-Dialog sections, CSV")
    parser.add_argument("--errors", action="store_true", help="print what is wrong")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    if arguments.negex:
        figures["negation"] = negation(arguments.negex, errors=arguments.errors)
    if arguments.notes:
        figures["headings"] = headings(arguments.notes, errors=arguments.errors)
    if arguments.mts:
        figures["mts_headings"] = mts_headings(arguments.mts, errors=arguments.errors)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
