# ruff: noqa: E501 - rows of a Markdown table cannot be broken
"""Writes docs/suggestions.md: every condition that may be suggested, with its features and sources.

`python docs/make_suggestions.py` writes it, `--check` exits 1 when it is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from services.reporting.reconcile import medicines
from services.reporting.suggestions import catalogue
from services.reporting.suggestions.model import POINTS_MIN, Condition, Feature, Limits, Weight
from services.reporting.suggestions.schema import Topic

PAGE = Path(__file__).with_name("suggestions.md")
WEIGHTS = {
    Weight.DECISIVE: "decisive",
    Weight.STRONG: "strong",
    Weight.SUPPORTIVE: "supportive",
    Weight.OPPOSING: "against",
    Weight.STRONGLY_OPPOSING: "strongly against",
}
HEAD = """# Conditions to consider

Made from `services/reporting/data/suggestions/*.toml` by `python docs/make_suggestions.py`.
{conditions} conditions in {topics} topics. None of these is a diagnosis: a suggestion says what to
consider, why, what speaks against it, and what to ask or order next, and shows the places of the
notes and the results that it rests on. Each condition has an example that fits and one that does
not, which the tests run.

**Not validated.** The weights are ours, by the rule below; no clinician has reviewed them and they
were measured on no patients. Of {sources} sources, {checked} were checked: their criteria were read in an
excerpt of a public page, often a summary and not the document itself, and what did not agree was changed. The other {unchecked} are
marked `unchecked`; their citations and what the features take from them come from knowledge of the sources alone. A report
says so beside each suggestion. Of {checks} checks
of medicines against results, the statement of {checks_read} was read in the same way. A hospital's own specialists have to review them before it relies on them.

## The rule

| class | field | points |
|---|---|---|
| decisive: alone enough to consider it | `decisive` | 3 |
| strong | `strong` | 2 |
| supportive | `some` | 1 |
| red flag: how pressing it is, not how likely | `red` | none |
| against | `against` | -1 |
| strongly against | `against_strong` | -2 |

A condition is suggested when its limits (age, sex, pregnancy) allow it, one of its core features
(`core`; without them any that supports it) is there, and its points reach {points}. A result counts once, with its heaviest
weight: a potassium, the rule that it made fire and its limit are one fact. Where a decisive result has a red flag beside it, one point is
enough, so that what speaks against it (a haemolysed tube) is told and hides nothing. Order: pressing ones
first (a red flag beside a decisive or strong feature of its own: shock or fever alone, which many conditions share, lift none), then
points, then the number of features for it, then the id. The report keeps the first
12 and the conclusion names the first 5. When nothing reaches {points} points, the report says that there is too
little evidence, and names the nearest three of those that a decisive or strong feature supports: weak ones alone name nothing.

## Figures and limits

| what | measured |
|---|---|
| suggestions from 67 public visit notes alone (ACI-Bench, development) | 26 in all, 3 at most, none for 46 notes |
| 20 cases written for this (16 ill: 12 typical, 4 atypical; 4 healthy or trivial), before what they showed was changed | the condition meant among the first three in 15 of 16; of the 4 nothing suggested; 24 others marked as pressing |
| the same, after | 16 of 16, in 15 the first; of the 4 nothing; 10 others marked as pressing |
| 15 more, written after that; nothing was changed between | 12 of 12 ill (2 atypical), each the first; of 3 healthy or trivial nothing; 1 other marked as pressing |
| contradictions in those visit notes | 1, a disease that the note denies and then assesses |
| facts of a note with results, weighing all conditions, comparing | 1.1, 0.8 and 0.5 ms of processor time (median of 40 notes; the longest 3.1, 1.7, 1.2), one busy core |

The cases (`tests/reporting/data/physician_cases.toml`, notes with results and some findings on images, both languages) and the conditions have one author:
on cases of a hospital expect less. No set of cases with agreed differentials is at hand, and no clinician judged.

- A feature that no term of the notes service names is not seen; nor is time ("sudden"), course or severity, unless the name holds them.
- A disease that a note names as present counts for itself, so that what to do next can be shown; what was already done is not known.
- Results count with the flag that the laboratory part gave them; without a range they have none, and the feature is not there.
- Images speak of what the readings look for: lung nodules, bleeding in the head, fractures, tumour cells. That none was found says nothing of the rest.
- Children: the conditions are written from sources on adults; limits of age exclude what would mislead most.

## How a feature is written

| key | holds when |
|---|---|
| `note:X` | a note affirms X of the patient, now: not denied, suspected, over, planned, under a condition or somebody else's |
| `denied:X` | a note denies X |
| `possible:X` | a note suspects X or does not exclude it |
| `history:X` | as `note:X`, or X is over |
| `family:X` | X of a relative |
| `med:X` | a medicine that is taken |
| `lab:X high`, `low`, `normal`, `critical`, `abnormal`, `positive`, `negative`, `< 3` | the latest result of X, in the canonical unit |
| `vital:X < 90` | a vital sign, submitted or written in a note; mmHg, /min, °C, % |
| `score:X >= 2`, `risk:X` | a score; a rule of [labs-rules.md](labs-rules.md) that holds |
| `image:X`, `image:X/property/value`, `image:no-X` | a finding on images, a property of it, or that a reading looked for it and found none |
| `person:age >= 65`, `person:M`, `person:pregnant` | age, sex, pregnancy, as far as known; alone they suggest nothing |

X is the English name of a term or medicine of the notes service, or the id of an analyte; `@name` any of a
group of `groups.toml`. `a & b`: both; `a | b`: either. A test holds every name to the tables it comes from.
"""


def main() -> None:
    """Write the page, or with `--check` say whether it is current."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit(f"{PAGE.name} is stale: run python docs/make_suggestions.py")


def page() -> str:
    """Return the page."""
    topics = catalogue.topics()
    conditions = [condition for topic in topics for condition in topic.conditions]
    sources = {source.link: source for each in conditions for source in each.sources}
    checked = sum(source.checked for source in sources.values())
    head = HEAD.format(
        conditions=len(conditions),
        topics=len(topics),
        sources=len(sources),
        checked=checked,
        unchecked=len(sources) - checked,
        checks=len(medicines.checks()),
        checks_read=sum(each.checked for each in medicines.checks()),
        points=POINTS_MIN,
    )
    return "\n".join([head, *(_topic(topic) for topic in topics)])


def _topic(topic: Topic) -> str:
    lines = [f"## {topic.en} · {topic.zh}", "", f"`{topic.topic}.toml`"]
    for condition in topic.conditions:
        lines += ["", *_condition(condition)]
    return "\n".join(lines) + "\n"


def _condition(condition: Condition) -> list[str]:
    lines = [
        f"### {condition.id}",
        "",
        f"{condition.en} · {condition.zh}{_of(condition.limits)}",
        "",
    ]
    if condition.red:
        lines.append(f"- red flags: {_features(condition.red)}")
    for weight, name in WEIGHTS.items():
        if found := [each for own, each in condition.weighed if own is weight]:
            lines.append(f"- {name}: {_features(found)}")
    lines.append(f"- core: {_features(condition.core)}")
    if condition.ask[1]:
        lines.append(f"- ask: {condition.ask[1]}. {condition.ask[0]}。")
    lines.append(f"- next: {condition.next[1]}. {condition.next[0]}。")
    cited = [
        f"[{s.text}]({s.link}){'' if s.checked else ' (unchecked)'}" for s in condition.sources
    ]
    lines.append(f"- source: {'; '.join(cited)}")
    return lines


def _features(features: Iterable[Feature]) -> str:
    return "; ".join(f"`{each.text}`" for each in features)


def _of(limits: Limits) -> str:
    parts = []
    if limits.age_min is not None:
        parts.append(f"from {limits.age_min:g} years")
    if limits.age_max is not None:
        parts.append(f"up to {limits.age_max:g} years")
    if limits.sex:
        parts.append({"M": "men", "F": "women"}[limits.sex])
    if limits.pregnancy:
        parts.append({"only": "in pregnancy", "never": "not in pregnancy"}[limits.pregnancy])
    return f" ({', '.join(parts)})" if parts else ""


if __name__ == "__main__":
    main()
