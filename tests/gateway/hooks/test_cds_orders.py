"""order-select and order-sign: a report that exists, or an analysis that can be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.hooks.orders import examination


def order(system: str = "http://loinc.org", code: str = "24627-2", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest",
        "id": "draft-1",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/p-1"},
    } | more


@pytest.mark.requirement("DX-CDS-05")
@pytest.mark.parametrize("service", ["dxmesh-order-select", "dxmesh-order-sign"])
async def test_an_analysis_is_offered(ehr: Any, service: str) -> None:
    [card] = await ehr.order(order(), service=service)
    assert card["source"]["topic"]["code"] == "analysis-offered"
    [suggestion] = card["suggestions"]
    [action] = suggestion["actions"]
    assert action["type"] == "create"
    made = action["resource"]
    assert made["code"]["coding"][0] == {"system": "urn:dxmesh:task", "code": "analyse-case"}
    assert made["basedOn"] == [{"reference": "ServiceRequest/draft-1"}]
    assert made["subject"] == {"reference": "Patient/p-1"}
    assert card["selectionBehavior"] == "at-most-one"
    assert "for reference only" in card["summary"]
    assert card["links"][0]["type"] == "smart"


@pytest.mark.requirement("DX-CDS-05")
async def test_a_report_that_exists_is_named_before_the_order_is_signed(
    ehr: Any, setting: Any
) -> None:
    await setting.compose(ehr.world, setting.sample_report("en"))
    [card] = await ehr.order(order())
    assert card["source"]["topic"]["code"] == "report-exists"
    assert "not reviewed, for reference only" in card["summary"]
    assert card["indicator"] == "warning"
    codes = {reason["code"] for reason in card["overrideReasons"]}
    assert {"new-question", "follow-up"} <= codes


@pytest.mark.requirement("DX-CDS-05")
async def test_what_the_mesh_cannot_analyse_is_not_offered(ehr: Any) -> None:
    assert await ehr.order(order(code="24725-4")) == []
    assert await ehr.order(order(code="99999-9")) == []
    assert await ehr.order() == []


@pytest.mark.requirement("DX-CDS-05")
async def test_only_selected_orders_count(ehr: Any, requests: Any) -> None:
    body = requests["order"]("order-select", [order()])
    body["context"]["selections"] = ["ServiceRequest/another"]
    answer = await ehr.post("dxmesh-order-select", body)
    assert answer.json() == {"cards": []}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CT Chest without contrast", "chest-ct"),
        ("胸部CT平扫", "chest-ct"),
        ("Computed tomography of thorax", "chest-ct"),
        ("head CT", "head-ct"),
        ("chest x-ray", None),
        ("Doctor's chest pain consult", None),
        ("active chest physiotherapy", None),
    ],
)
def test_an_order_without_a_known_code_is_read_by_its_words(text: str, kind: str | None) -> None:
    found = examination({"code": {"text": text}})
    assert (found.kind if found else None) == kind


def test_a_code_decides_against_the_words() -> None:
    found = examination(order(code="24725-4", code_text="CT chest"))
    assert found
    assert found.kind == "head-ct"


@pytest.mark.parametrize("code", [None, "x", {"coding": "x"}, {"coding": [3]}, {"text": 4}])
def test_an_order_of_any_form_is_taken(code: Any) -> None:
    assert examination({"code": code}) is None
