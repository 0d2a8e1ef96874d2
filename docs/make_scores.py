# ruff: noqa: E501 - rows of a Markdown table cannot be broken
"""Writes docs/labs-scores.md: every score, what it needs, what it means, and its source.

`python docs/make_scores.py` writes it, `--check` exits 1 when it is stale.
"""

from __future__ import annotations

import sys
from inspect import cleandoc
from itertools import groupby
from pathlib import Path

from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.listing import LACKING_MAX
from services.labs.scores.model import Definition, Kind, Wanted

PAGE = Path(__file__).with_name("labs-scores.md")
TOPICS = {
    "kidney": "Kidney · 肾脏",
    "liver": "Liver · 肝脏",
    "heart": "Heart and vessels · 心血管",
    "lung": "Lung, embolism, thrombosis · 呼吸、肺栓塞与血栓",
    "sepsis": "Sepsis and acute illness · 脓毒症与急危重症",
    "blood": "Blood · 血液",
    "metabolism": "Glucose and lipids · 血糖与血脂",
    "electrolytes": "Salts, water, acid-base · 电解质与酸碱",
    "abdomen": "Gut and pancreas · 消化道与胰腺",
    "variation": "Variation · 变异",
}
KINDS = {
    Kind.PERSON: "person",
    Kind.LAB: "laboratory",
    Kind.LIMIT: "laboratory's limit",
    Kind.EARLIER: "earlier results",
    Kind.VITAL: "vital sign or measure",
    Kind.ITEM: "yes or no",
    Kind.GRADE: "grade",
    Kind.NUMBER: "stated number",
}
HEAD = """# Scores

Made from `services/labs/data/scores/*.toml` and `score_inputs.tsv` by `python docs/make_scores.py`.
{count} scores. dxmesh is not a certified medical device: each is for reference only, and a physician
judges whether it applies.

**How far it is checked:** each formula, cut-off and point was read against what is known of its paper on
2026-11-26 and held to published or recomputed pairs, whose origin stands in `tests/labs/score_pairs.json`. A source marked
*opened* was looked at then, and how much of it ({opened} of {count}); the others are cited from knowledge.

## How a score is computed

- Each input is the **newest usable result**; several that times do not tell apart are not chosen from.
  Values convert by the analyte's molar mass: mmol/L or mg/dL in, the same answer.
- **Fresh**: an input may be older than the newest value of the part by the hours in the table, no more.
  A date without a time of day counts as any hour of that day. Times in a part are shifted with it, so no
  clock is asked.
- **In range**: a value outside the limits of the table is not believed, and the score says so.
- **Person**: age, sex and pregnancy as the table says; 18 years and older, and not pregnant, otherwise.
- Otherwise the score is **not computed**, and names each input that is missing, stale, unclear or out of range.
- Earlier creatinine, upper limits, body mass index and mean pressure follow from the results and signs of
  the part. Upper limits are those of the range the result was flagged by.
- Vital signs are read from Observations by LOINC code; yes-or-no items, grades and other numbers are stated
  by hand (`dxmesh scores compute`, `LabsService.ComputeScores`).

## Which scores a report lists

A score that was computed, if it has no condition below or one of them holds. One that was not computed, and has
no condition, when the person alone stands in its way, or a value that came is stale, unclear or out of range, or at
most {lacking} results of the laboratory are missing and more are there. A score that lacks a vital sign or a
statement is not listed: it would be missing in every report. *Asked for* scores belong to one disease and are
shown only when named. Rules of disease risks see every computed score, listed or not. The conditions are the
project's choice; no paper fixes them.

`dxmesh scores list`, `show`, `compute` show all of them.
"""


def main() -> None:
    """Write the page, or with `--check` say whether it is current."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit(f"{PAGE.name} is stale: run python docs/make_scores.py")


def page() -> str:
    """Return the page."""
    parts = [
        HEAD.format(
            count=len(CATALOGUE),
            lacking=LACKING_MAX,
            opened=sum(bool(each.opened) for each in CATALOGUE.values()),
        )
    ]
    for topic, found in groupby(CATALOGUE.values(), key=lambda each: each.topic):
        parts.append(f"## {TOPICS[topic]}\n")
        parts += map(_score, found)
    return "\n".join(parts)


def _score(of: Definition) -> str:
    unit = "" if of.unit == "1" else f", {of.unit}"
    code = f"; LOINC {of.loinc}" if of.loinc else ""
    lines = [
        f"### {of.score_id}",
        "",
        f"**{of.name_en}** · {of.name_zh}{unit}{code}. {_who(of)}",
        "",
    ]
    lines += ["| input | | unit | from | to | fresh, h |", "|---|---|---|---|---|---|"]
    lines += [_wanted(each, of) for each in of.wanted]
    if of.one_of:
        lines += ["", f"At least one of {', '.join(f'`{name}`' for name in sorted(of.one_of))}."]
    if of.bands:
        lines += ["", "| value | meaning | 含义 |", "|---|---|---|"]
        lines += [f"| {_from(b.low, b.beyond)} | {b.text_en} | {b.text_zh} |" for b in of.bands]
    lines += ["", f"- {_formula(of)}"]
    if of.note_en:
        lines.append(f"- {of.note_en} {of.note_zh}")
    if of.listed is None:
        lines.append("- listed only when asked for")
    elif of.listed:
        stated = " or ".join(f"`{c.name} {c.operator} {c.limit:g}`" for c in of.listed)
        only = f", only when it applies ({of.applies.__name__})" if of.applies else ""
        lines.append(f"- listed when {stated}{only}")
    opened = f"opened: {of.opened}" if of.opened else "not opened"
    lines.append(f"- source: [{of.source}]({of.link}) ({opened})")
    return "\n".join(lines) + "\n"


def _formula(of: Definition) -> str:
    """Return what the function says of itself, without its citation."""
    told = cleandoc(of.formula.__doc__ or "").removeprefix("Return ").replace("Source: ", "")
    told = " ".join(told.split())
    return f"computes {told}"


def _who(of: Definition) -> str:
    ages = "Any age" if of.ages is None else f"From {of.ages[0]:g} years"
    if of.ages and of.ages[1] < 131:
        ages = f"From {of.ages[0]:g} to {of.ages[1] - 1:g} years"
    return f"{ages}{'' if of.in_pregnancy else ', not in pregnancy'}."


def _wanted(each: Wanted, of: Definition) -> str:
    quality = each.quality
    low, high = ("" if abs(end) == float("inf") else f"{end:.5g}" for end in (each.low, each.high))
    fresh = "" if quality.kind is Kind.PERSON else f"{max(of.fresh_h, quality.keep_h):g}"
    optional = ", optional" if each.optional else ""
    name = f"`{quality.name}` {quality.name_en} · {quality.name_zh}"
    return f"| {name} | {KINDS[quality.kind]}{optional} | {each.unit} | {low} | {high} | {fresh} |"


def _from(low: float, beyond: bool) -> str:
    return "otherwise" if low == float("-inf") else f"{'>' if beyond else '≥'} {low:g}"


if __name__ == "__main__":
    main()
