"""Exact bytes: only id, meta.versionId and meta.lastUpdated are written into a resource."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.fhir.splice import splice

MARK = {"resource_id": "x-1", "version_id": "7", "last_updated": "2026-11-25T10:00:00.000001Z"}

SPACE = st.text(" \t\r\n", max_size=3)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)
NAMES = st.one_of(
    st.text(max_size=8), st.sampled_from(["meta", "id", "versionId", "lastUpdated", '"{[}]\\'])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
METAS = st.dictionaries(
    st.sampled_from(["versionId", "lastUpdated", "tag", "profile", "a"]), VALUES
)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Return JSON for a value, with white space and escapes as somebody might write them."""
    gap = draw(SPACE)
    if isinstance(value, dict):
        parts = [
            f"{draw(SPACE)}{_string(draw, key)}{gap}:{draw(SPACE)}{draw(written(item))}"
            for key, item in value.items()
        ]
        return "{" + gap + ",".join(parts) + draw(SPACE) + "}"
    if isinstance(value, list):
        parts = [draw(SPACE) + draw(written(item)) + draw(SPACE) for item in value]
        return "[" + gap + ",".join(parts) + "]"
    if isinstance(value, Decimal):
        return str(value).replace("E+", draw(st.sampled_from(["E+", "e", "E"])))
    return _string(draw, value) if isinstance(value, str) else json.dumps(value)


def _string(draw: st.DrawFn, value: str) -> str:
    if draw(st.booleans()):
        return '"' + "".join(f"\\u{unit:04x}" for unit in _units(value)) + '"'
    return json.dumps(value, ensure_ascii=False)


def _units(value: str) -> Iterator[int]:
    raw = value.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2))


@st.composite
def resources(draw: st.DrawFn) -> bytes:
    members: dict[str, Any] = draw(st.dictionaries(NAMES, VALUES, max_size=6))
    for key in ("id", "meta", "resourceType"):
        members.pop(key, None)
    known: dict[str, Any] = {"resourceType": "Basic"}
    if draw(st.booleans()):
        known["id"] = draw(st.text(max_size=5))
    if draw(st.booleans()):
        known["meta"] = draw(METAS)
    order = draw(st.permutations([*members.items(), *known.items()]))
    text = draw(SPACE) + draw(written(dict(order))) + draw(SPACE)
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + text.encode()


def _loaded(content: bytes) -> Any:
    return json.loads(content.decode("utf-8-sig"), parse_float=str, parse_int=str)


def _without(value: Any) -> Any:
    kept = {k: v for k, v in value.items() if k != "id"}
    meta = kept.get("meta") or {}
    kept["meta"] = {k: v for k, v in meta.items() if k not in ("versionId", "lastUpdated")}
    return kept


@pytest.mark.requirement("DX-STO-02")
@settings(max_examples=150, deadline=None)
@given(resources())
def test_every_other_value_and_its_writing_stay(content: bytes) -> None:
    result = splice(content, **MARK)
    value = _loaded(result)
    assert value["id"] == "x-1"
    assert value["meta"]["versionId"] == "7"
    assert value["meta"]["lastUpdated"] == MARK["last_updated"]
    assert _without(value) == _without(_loaded(content))
    assert [k for k in value if k not in ("id", "meta")] == [
        k for k in _loaded(content) if k not in ("id", "meta")
    ]


@pytest.mark.requirement("DX-STO-02")
@settings(max_examples=150, deadline=None)
@given(resources())
def test_splicing_again_changes_nothing_and_only_the_marks_differ(content: bytes) -> None:
    once = splice(content, **MARK)
    assert splice(once, **MARK) == once
    other = splice(once, **{**MARK, "version_id": "8"})
    assert len(other) == len(once)
    assert sum(a != b for a, b in zip(once, other, strict=True)) == 1


@pytest.mark.requirement("DX-STO-02")
def test_bytes_around_the_marks_stay_as_they_came() -> None:
    content = (
        b'{ "resourceType" : "Observation",\n  "m\\u0065ta": {"profile" : ["p"] },\n'
        b'  "valueQuantity": {"value": 19.00e0, "note" : " }{ \\" "}, "i\\u0064" :"old" }\n'
    )
    assert splice(content, **MARK) == (
        b'{ "resourceType" : "Observation",\n  "m\\u0065ta": {"versionId":"7",'
        b'"lastUpdated":"2026-11-25T10:00:00.000001Z","profile" : ["p"] },\n'
        b'  "valueQuantity": {"value": 19.00e0, "note" : " }{ \\" "}, "i\\u0064" :"x-1" }\n'
    )


@pytest.mark.requirement("DX-STO-02")
@pytest.mark.parametrize(
    ("content", "result"),
    [
        (b"{}", '{"id":"x-1","meta":{M}}'),
        (b" { } ", ' {"id":"x-1","meta":{M} } '),
        (b'{"a":1}', '{"id":"x-1","meta":{M},"a":1}'),
        (b'{"resourceType":"A"}', '{"resourceType":"A","id":"x-1","meta":{M}}'),
        (b'{"meta":null,"id":3}', '{"meta":{M},"id":"x-1"}'),
        (b'{"id":"a","meta":{}}', '{"id":"x-1","meta":{M}}'),
        (b'{"id":"a","meta":{ "versionId":"1"}}', '{"id":"x-1","meta":{L, "versionId":"7"}}'),
    ],
)
def test_missing_members_are_added(content: bytes, result: str) -> None:
    last = '"lastUpdated":"2026-11-25T10:00:00.000001Z"'
    wanted = result.replace("M", f'"versionId":"7",{last}', 1) if "M" in result else result
    assert splice(content, **MARK).decode() == wanted.replace("L", last, 1)


@pytest.mark.requirement("DX-STO-02")
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]":,\\ a1', max_size=40).map(str.encode))
def test_what_is_no_json_object_ends_with_an_error_or_a_result(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        splice(content, **MARK)


@pytest.mark.requirement("DX-STO-02")
def test_long_input_takes_linear_time() -> None:
    """A catastrophic pattern would not end within the test's time limit."""
    for piece in (b"[", b'{"a":', b'"', b"\\", b'"\\"', b" "):
        with pytest.raises(ValueError):
            splice(b'{"a":' + piece * 200_000, **MARK)
