"""Every reason that routing can give has its words in the report, in both languages."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from services.imaging.pulse import ReadingStalled
from services.imaging.reading import ModelMissing
from services.imaging.routing import explain, quality, rules
from services.imaging.routing.decide import REASONS
from services.imaging.series.refusals import SeriesRefused

DATA = Path(__file__).resolve().parents[2] / "services" / "reporting" / "data"


def worded() -> dict[str, dict[str, str]]:
    found = {}
    for path in sorted(DATA.glob("reasons*.tsv")):
        lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
        for row in csv.DictReader(lines, delimiter="\t"):
            found[row["reason"]] = row
    return found


@pytest.mark.requirement("DX-IMG-96")
def test_every_reason_of_a_no_has_words() -> None:
    book = rules.read(explain.default_table())
    conditions = [c for rule in book.rules for c in (*rule.takes, *rule.needs)]
    own = {c.reason for c in conditions if c.reason}
    of_pixels = {
        kind("").reason
        for kind in vars(quality).values()
        if isinstance(kind, type) and issubclass(kind, SeriesRefused) and kind is not SeriesRefused
    }
    ours = {ModelMissing("").reason, ReadingStalled("").reason, explain.READING_FAILED.reason}
    told = worded()
    reasons = {*own, *of_pixels, *ours, *REASONS.values(), "SWITCHED_OFF", "NO_RULE"}
    assert sorted(reasons - set(told)) == []
    assert all(told[reason]["zh"] and told[reason]["en"] for reason in reasons)
