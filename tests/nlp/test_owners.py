"""Property: each number, side and denial of a summary stands in its source, of the same owner."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.nlp.notes import Note
from services.nlp.reading import read
from services.nlp.summary import Sentence, summarize

pytestmark = pytest.mark.requirement("DX-NLP-07")

SIDES = {"": "", "左侧": "左侧", "右侧": "右侧", "双侧": "双侧"}
OWNERS = ("", "父亲", "母亲")
FACT = st.tuples(
    st.sampled_from(["水肿", "骨折", "结节", "血肿", "肺癌", "疼痛"]),
    st.sampled_from(sorted(SIDES)),
    st.booleans(),
    st.one_of(st.just(0), st.integers(2, 98)),
    st.sampled_from(OWNERS),
)
VALUES = st.lists(
    st.tuples(st.sampled_from(["血钾", "血钠", "肌酐"]), st.integers(2, 999)),
    max_size=2,
    unique_by=lambda value: value[0],
)
UNITS = {"血钾": "mmol/L", "血钠": "mmol/L", "肌酐": "μmol/L"}


def written(fact: tuple[str, str, bool, int, str]) -> str:
    """Return a fact as a sentence of its own."""
    name, side, denied, days, owner = fact
    if owner:
        return f"{owner}{'无' if denied else '有'}{name}。"
    return f"{'无' if denied else '出现'}{side}{name}{f'{days}天' if days and not denied else ''}。"


@settings(max_examples=80, deadline=None)
@given(
    st.lists(FACT, min_size=1, max_size=5, unique_by=lambda fact: fact[0]),
    VALUES,
    st.sampled_from(["现病史：", "查体：", ""]),
)
def test_every_statement_has_its_owner(
    facts: list[tuple[str, str, bool, int, str]], values: list[tuple[str, int]], heading: str
) -> None:
    text = heading + "".join(map(written, facts))
    text += "".join(f"{name}{number}{UNITS[name]}。" for name, number in values)
    found = summarize([read(Note("n", "zh", text))], "zh")
    numbers = re.findall(r"[0-9]+", text)
    for sentence in found:
        assert set(re.findall(r"[0-9]+", sentence.text)) <= set(numbers)
        for side in ("左侧", "右侧", "双侧"):
            assert side not in sentence.text or side in text
        assert all(0 <= each.start < each.end <= len(text) for each in sentence.sources)
    for name, side, denied, days, owner in facts:
        told = [each for each in found if name in each.text]
        assert told or (owner and denied), (text, [each.text for each in found])
        for each in told:
            _owned(each, name, side, denied=denied, days=days, owner=owner, text=text)


def _owned(
    each: Sentence, name: str, side: str, *, denied: bool, days: int, owner: str, text: str
) -> None:
    said = ("否认" in each.text) or ("未见" in each.text)
    assert said is denied, (text, each.text)
    assert ("家族史" in each.text) is bool(owner), (text, each.text)
    items = re.findall(rf"[^、：。]*{name}[^、：。]*", each.text)
    assert items
    item = items[0]
    if not owner:
        assert (side in item) if side else not re.search("左侧|右侧|双侧", item), (text, each.text)
        assert (f"{days}天" in item) is bool(days and not denied), (text, each.text)
    else:
        assert owner in item or denied, (text, each.text)
