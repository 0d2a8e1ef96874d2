"""Requests of any form: refused by field, never a failure; and feedback on cards."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.hooks import feedback, request
from services.gateway.hooks.words import escaped, language_of, plain
from services.kernel import fhir
from services.kernel.errors import InvalidInput

VIEW = "dxmesh-patient-view"


@pytest.mark.requirement("DX-CDS-01")
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"hook": "order-sign"}, "hook"),
        ({"hookInstance": "1"}, "hookInstance"),
        ({"context": None}, "context"),
        ({"context": {"patientId": "../../etc"}}, "context.patientId"),
        ({"context": {"patientId": 3}}, "context.patientId"),
        (
            {"prefetch": {"patient": {"resourceType": "Patient", "id": "another"}}},
            "prefetch.patient",
        ),
    ],
)
async def test_a_field_that_cannot_be_used_is_named(
    ehr: Any, requests: Any, change: dict[str, Any], path: str
) -> None:
    answer = await ehr.post(VIEW, requests["view"]() | change)
    assert answer.status_code == 400
    assert answer.headers["access-control-allow-origin"] == "*"
    places = [issue["expression"] for issue in answer.json()["issue"]]
    assert [path] in places
    entry = (await ehr.world.gateway.store.audit.rows("north"))[-1].entry
    assert (entry.interaction, entry.outcome) == ("patient-view", "4")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"[" * 5000])
async def test_what_is_no_request_is_refused(ehr: Any, content: bytes) -> None:
    assert (await ehr.post(VIEW, content)).status_code == 400


async def test_a_prefetch_that_failed_is_no_prefetch(ehr: Any, requests: Any) -> None:
    for patient in (None, {"resourceType": "OperationOutcome"}, "x"):
        body = requests["view"]() | {"prefetch": {"patient": patient}}
        assert (await ehr.post(VIEW, body)).status_code == 200


async def test_a_request_that_is_too_large_is_cut_off(ehr: Any) -> None:
    assert (await ehr.post(VIEW, b" " * (3 << 20))).status_code == 413


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["hook", "context", "patientId", "draftOrders", "entry", "resource", "selections",
             "prefetch", "patient", "resourceType", "id", "feedback", "card", "overrideReason"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(_json, st.sampled_from([request.PATIENT_VIEW, request.ORDER_SELECT, request.ORDER_SIGN]))
def test_any_json_is_read_or_refused(value: Any, hook: str) -> None:
    content = fhir.dump(value)
    for parse in (lambda: request.parse(content, hook), lambda: feedback.parse(content)):
        try:
            parse()
        except InvalidInput:
            continue


@pytest.mark.requirement("DX-CDS-07")
async def test_feedback_is_kept_and_counted(ehr: Any, setting: Any) -> None:
    await setting.compose(ehr.world, setting.sample_report("en"))
    [card] = await ehr.view()
    reason = {"code": "known", "system": "urn:dxmesh:cds-override"}
    entry = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": {"reason": reason, "userComment": "Zhang knows"},
        "outcomeTimestamp": "2026-11-25T10:00:00Z",
    }
    for _ in range(2):  # sent twice, counted once
        answer = await ehr.post(VIEW, {"feedback": [entry]}, path="/feedback")
        assert answer.status_code == 200, answer.text
    [count] = await ehr.world.gateway.store.hooks.counts("north")
    assert (count.topic, count.outcome, count.reason, count.count) == (
        "critical-result", "overridden", "known", 1,
    )  # fmt: skip
    assert await ehr.world.gateway.store.hooks.counts("south") == []
    assert b"Zhang knows" not in ehr.world.database.read_bytes()
    shown = (await ehr.http.get("/ops/cds", headers=ehr.world.bearer("operator"))).json()
    assert shown["feedback"][0]["count"] == 1


@pytest.mark.requirement("DX-CDS-07")
async def test_feedback_on_a_card_of_another_tenant_is_refused(ehr: Any, setting: Any) -> None:
    await setting.compose(ehr.world, setting.sample_report("en"))
    [card] = await ehr.view()
    entry = {
        "card": card["uuid"],
        "outcome": "overridden",
        "outcomeTimestamp": "2026-11-25T10:00:00Z",
    }
    token = ehr.token(VIEW, "https://south.example")
    answer = await ehr.post(VIEW, {"feedback": [entry]}, path="/feedback", token=token)
    assert answer.status_code == 404
    made_up = entry | {"card": str(uuid.uuid4())}
    answer = await ehr.post(VIEW, {"feedback": [made_up]}, path="/feedback")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"card": "x"},
        {"outcome": "ignored"},
        {"outcomeTimestamp": "2026-11-25"},
        {"outcome": "accepted"},
        {"overrideReason": {"userComment": "x" * 9000}},
    ],
)
def test_feedback_that_cannot_be_used_is_refused(change: dict[str, Any]) -> None:
    entry = {
        "card": str(uuid.uuid4()),
        "outcome": "overridden",
        "outcomeTimestamp": "2026-11-25T10:00:00+08:00",
    }
    assert feedback.parse(fhir.dump({"feedback": [entry]}))
    with pytest.raises(InvalidInput) as caught:
        feedback.parse(fhir.dump({"feedback": [entry | change]}))
    assert "x" * 100 not in str(caught.value.violations)


async def test_a_browser_may_ask_first(ehr: Any) -> None:
    answer = await ehr.http.request("OPTIONS", f"/cds-services/{VIEW}")
    assert answer.status_code == 204
    assert "Authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("zh-CN", "zh"),
        ("en;q=0.8, zh;q=0.9", "zh"),
        ("fr, zh;q=0", "en"),
        ("fr", "en"),
        ("zh;q=x", "en"),
    ],
)
def test_the_language_is_the_one_preferred(accept: str, language: str) -> None:
    assert language_of(accept) == language


@given(st.text())
def test_text_of_a_record_stays_on_one_line_and_is_shown_as_it_is(text: str) -> None:
    line = plain(text, 50)
    assert len(line) <= 50
    assert "\n" not in line
    for mark in "[]()<>!`*_":
        assert escaped(line).count(mark) == escaped(line).count(f"\\{mark}")
