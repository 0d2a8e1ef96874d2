"""The catalogue and single computations as plain JSON, for `dxmesh scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.kernel.errors import InvalidInput, NotFound
from services.labs import panel
from services.labs.interpret import interpret
from services.labs.lenient import list_of, mapping_of, text_of
from services.labs.panel import LabPart, Subject
from services.labs.scores import stated
from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.engine import assess, evaluate
from services.labs.scores.facts import gather
from services.labs.scores.model import Definition, Score, Wanted
from services.labs.scores.stated import Stated

Json = dict[str, Any]
NOTHING = LabPart(Subject(), ())
"""A part with no results, of a person of whom nothing is known."""


def answer(request: Mapping[str, Any]) -> Json:
    """Answer `{"do": "list" | "show" | "compute", …}`.

    Raises
    ------
    InvalidInput, NotFound
        Says what to do instead.
    """
    what = request.get("do")
    if what == "list":
        return {"scores": [_summary(each) for each in CATALOGUE.values()]}
    if what == "show":
        return shown(_known(text_of(request.get("score"))))
    if what == "compute":
        return _compute(request)
    raise InvalidInput("the request names nothing to do")


def compute(part: LabPart, items: Sequence[Stated], score_ids: Sequence[str]) -> list[Score]:
    """Return scores of a part and of values stated beside it; without ids those of a report.

    Raises
    ------
    InvalidInput, NotFound
    """
    results = interpret(part.measured, part.subject)
    subject, facts = stated.read(items, part.subject)
    if score_ids:
        wanted = {_known(each).score_id for each in score_ids}
        return evaluate(gather(results, subject, facts), wanted)
    if facts:
        tried = evaluate(gather(results, subject, facts), CATALOGUE.keys())
        return [each for each in tried if each.value is not None or each.listed]
    return [each for each in assess(results, subject) if each.listed]


def shown(of: Definition) -> Json:
    """Return everything that is known of a score."""
    bands = [
        {"from": "" if b.low == float("-inf") else f"{'>' if b.beyond else '≥'}{b.low:g}"}
        | {"en": b.text_en, "zh": b.text_zh}
        for b in of.bands
    ]
    return _summary(of) | {
        "loinc": of.loinc,
        "link": of.link,
        "opened": of.opened,
        "note_en": of.note_en,
        "note_zh": of.note_zh,
        "ages": [of.ages[0], of.ages[1]] if of.ages else None,
        "in_pregnancy": of.in_pregnancy,
        "needs": [_wanted(each, of) for each in of.wanted],
        "one_of": sorted(of.one_of),
        "bands": bands,
        "formula": (of.formula.__doc__ or "").splitlines()[0].removeprefix("Return "),
        "listed": "asked" if of.listed is None else _conditions(of),
    }


def _conditions(of: Definition) -> list[str]:
    return [f"{each.name} {each.operator} {each.limit:g}" for each in of.listed or ()]


def _summary(of: Definition) -> Json:
    return {
        "score": of.score_id,
        "topic": of.topic,
        "en": of.name_en,
        "zh": of.name_zh,
        "unit": of.unit,
        "inputs": [each.quality.name for each in of.wanted],
        "source": of.source,
    }


def _wanted(each: Wanted, of: Definition) -> Json:
    quality = each.quality
    return {
        "input": quality.name,
        "kind": quality.kind.value,
        "en": quality.name_en,
        "zh": quality.name_zh,
        "unit": each.unit,
        "low": each.low if each.low > float("-inf") else None,
        "high": each.high if each.high < float("inf") else None,
        "fresh_h": max(of.fresh_h, quality.keep_h),
        "optional": each.optional,
    }


def _compute(request: Mapping[str, Any]) -> Json:
    document = request.get("panel")
    part = panel.read(text_of(document).encode()) if document else NOTHING
    nodes = [mapping_of(each) for each in list_of(request.get("values"))]
    items = [
        Stated(*(text_of(node.get(key)) for key in ("input", "value", "unit", "time")))
        for node in nodes
    ]
    ids = [text_of(each) for each in list_of(request.get("scores"))]
    return {"scores": [_result(each) for each in compute(part, items, ids)]}


def _result(found: Score) -> Json:
    return {
        "score": found.score_id,
        "en": found.definition.name_en,
        "zh": found.definition.name_zh,
        "value": found.shown,
        "unit": found.definition.unit,
        "meaning_en": found.category[0],
        "meaning_zh": found.category[1],
        "inputs": [
            {
                "input": each.name,
                "en": each.name_en,
                "zh": each.name_zh,
                "value": each.value,
                "unit": each.unit,
                "observation": each.observation_id,
                "time": each.effective,
            }
            for each in found.inputs
        ],
        "lacks": [
            {
                "input": gap.quality.name,
                "en": gap.quality.name_en,
                "zh": gap.quality.name_zh,
                "reason": gap.reason.reason,
                "message": gap.reason.message,
                "facts": gap.reason.facts,
            }
            for gap in found.gaps
        ],
        "source": found.definition.source,
        "link": found.definition.link,
        "note_en": found.definition.note_en,
        "note_zh": found.definition.note_zh,
    }


def _known(score_id: str) -> Definition:
    found = CATALOGUE.get(score_id)
    if found is None:
        raise NotFound("there is no such score; `dxmesh scores list` lists them")
    return found
