"""What may not be seen is found by no search."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir.search.query import parse
from tests.gateway.search.filling import (
    ALL,
    CONFIDENTIALITY,
    filled,
    may,
    observation,
    patient,
    seen_by,
)


@pytest.mark.requirement("DX-SEA-07")
def test_tenants_do_not_see_each_other(bench: Any) -> None:
    tenant = filled(bench, patient("a", name=[{"family": "Kim"}]), observation("o"))
    other = filled(bench, patient("b", name=[{"family": "Kim"}]))
    assert bench.run(bench.ids(tenant, "Patient", [("family", "kim")])) == ["a"]
    assert bench.run(bench.ids(other, "Patient", [("family", "kim")])) == ["b"]
    assert bench.run(bench.ids(other, "Patient", [("_has:Observation:patient:code", "x")])) == []
    page = bench.run(bench.page(other, "Patient", [("_revinclude", "Observation:subject")]))
    assert page.included == []
    assert bench.run(bench.store.searches.visible(other, "Patient", ["a", "b"], ALL)) == {"b"}


@pytest.mark.requirement("DX-SEA-08")
def test_what_may_not_be_seen_is_found_by_no_way(bench: Any) -> None:
    tenant = filled(
        bench,
        patient("a", name=[{"family": "Kim"}]),
        patient("b", name=[{"family": "Lee"}]),
        observation("oa"),
        observation("ob", of="b"),
        observation("oy", code="y"),
    )
    own = seen_by(may("Patient", "a"), may("Observation", "a", ("code", "urn:c|x")))
    asked: list[tuple[str, list[tuple[str, str]], list[str]]] = [
        ("Observation", [], ["oa"]),
        ("Observation", [("_sort", "_lastUpdated")], ["oa"]),
        ("Observation", [("_sort", "code")], ["oa"]),
        ("Observation", [("subject:Patient.family", "lee")], []),
        ("Observation", [("_id", "oa,ob,oy")], ["oa"]),
        ("Patient", [], ["a"]),
        ("Patient", [("_has:Observation:patient:code", "x")], ["a"]),
        ("Patient", [("_has:Observation:patient:code", "y")], []),
        ("Condition", [], []),
    ]
    for kind, pairs, expected in asked:
        assert bench.run(bench.ids(tenant, kind, pairs, own)) == expected, (kind, pairs)
        page = bench.run(bench.page(tenant, kind, [*pairs, ("_summary", "count")], own))
        assert page.total == len(expected)
    page = bench.run(bench.page(tenant, "Patient", [("_revinclude", "Observation:subject")], own))
    assert [stored.id for stored in page.included] == ["oa"]
    names = seen_by(may("Observation"))
    page = bench.run(bench.page(tenant, "Observation", [("_include", "*")], names))
    assert page.included == [] and len(page.matches) == 3
    assert bench.run(bench.ids(tenant, "Observation", [("patient.family", "kim")], names)) == []
    visible = bench.store.searches.visible
    assert bench.run(visible(tenant, "Observation", ["oa", "ob", "oy", "no"], own)) == {"oa"}
    text = seen_by(may("Patient", "", ("name:contains", "ki")))  # decided on the content
    assert bench.run(bench.ids(tenant, "Patient", [], text)) == ["a"]
    keys = bench.store.searches.keys
    assert bench.run(keys(None, tenant, parse("Patient", []), own, 2)) == [("Patient", "a")]


@pytest.mark.requirement("DX-SEA-08")
def test_restricted_resources_are_hidden_unless_allowed(bench: Any) -> None:
    label = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    tenant = filled(bench, patient("a"), observation("o"), observation("r", meta=label))
    plain, may_see = seen_by(may("*")), seen_by(may("*"), restricted=True)
    assert bench.run(bench.ids(tenant, "Observation", [], plain)) == ["o"]
    assert bench.run(bench.ids(tenant, "Observation", [], may_see)) == ["r", "o"]
    pairs = [("_revinclude", "Observation:patient")]
    assert len(bench.run(bench.page(tenant, "Patient", pairs, plain)).included) == 1
    found = bench.run(bench.ids(tenant, "AuditEvent", [], plain))
    assert found == []
