"""What scores say of a value: nothing that the paper does not say, nothing of what is normal."""

from __future__ import annotations

import pytest

from services.labs.panel import Subject
from services.labs.scores.catalogue import CATALOGUE
from services.labs.scores.engine import evaluate
from services.labs.scores.facts import gather
from services.labs.scores.model import Score
from services.labs.scores.stated import Stated, read


def score(score_id: str, age: float = 50, **inputs: object) -> Score:
    items = [Stated(name.replace("_", "-"), str(value)) for name, value in inputs.items()]
    subject, facts = read(items, Subject("male", age))
    return evaluate(gather([], subject, facts), {score_id})[0]


@pytest.mark.requirement("DX-LAB-20")
@pytest.mark.parametrize(("na", "cl", "hco3"), [(140, 104, 23), (140, 106, 18), (138, 112, 14)])
def test_delta_ratio_says_nothing_of_an_anion_gap_that_is_not_raised(
    na: float, cl: float, hco3: float
) -> None:
    """A gap of 13 with a bicarbonate of 23 is a healthy person, not a high-gap acidosis."""
    found = score("delta-ratio", na=na, cl=cl, hco3=hco3)
    assert found.category[0].startswith("does not apply: the anion gap is not raised")
    assert found.category[1].startswith("不适用")


@pytest.mark.requirement("DX-LAB-20")
@pytest.mark.parametrize(
    ("hco3", "cl", "words"),
    [(15, 106, "mixed"), (9, 98, "high anion gap acidosis"), (20, 94, "metabolic alkalosis")],
)
def test_delta_ratio_is_read_when_the_gap_is_raised(hco3: float, cl: float, words: str) -> None:
    assert words in score("delta-ratio", na=140, cl=cl, hco3=hco3).category[0]


@pytest.mark.requirement("DX-LAB-20")
def test_a_healthy_persons_delta_ratio_is_not_listed() -> None:
    assert not score("delta-ratio", na=140, cl=104, hco3=23).listed
    assert not score("delta-ratio", na=140, cl=114, hco3=14).listed
    assert score("delta-ratio", na=140, cl=98, hco3=9).listed


@pytest.mark.requirement("DX-LAB-20")
def test_sofa_of_11_is_not_yet_the_group_of_the_high_mortality() -> None:
    """Ferreira 2001: more than 11."""
    assert [band.beyond for band in CATALOGUE["sofa"].bands if band.low == 11] == [True]


@pytest.mark.requirement("DX-LAB-20")
def test_winters_leaves_open_which_disorder_came_first() -> None:
    english, chinese = score("winters", hco3=19, pco2=28).category
    assert "alone" in english and "单纯" in chinese


@pytest.mark.requirement("DX-LAB-20")
def test_links_lead_to_a_paper_and_not_to_a_search() -> None:
    assert not [each.score_id for each in CATALOGUE.values() if "?term=" in each.link]
