"""Includes, chains, compartments and value sets: a search that follows to other resources."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.access.rights import Visibility
from services.gateway.fhir.search.costs import TooCostly
from services.gateway.fhir.search.criteria import Member
from services.gateway.fhir.search.query import parse
from services.kernel.errors import InvalidInput
from tests.gateway.search.filling import (
    ALL,
    filled,
    may,
    observation,
    patient,
    seen_by,
)


@pytest.mark.requirement("DX-SEA-09")
def test_includes_follow_circles_once_and_stop_at_a_limit(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def linked(name: str, to: str) -> dict[str, Any]:
        return patient(name, link=[{"other": {"reference": f"Patient/{to}"}, "type": "seealso"}])

    tenant = filled(
        bench, linked("a", "b"), linked("b", "c"), linked("c", "a"), observation("o", of="c")
    )
    one = [("_id", "a"), ("_include", "Patient:link")]
    page = bench.run(bench.page(tenant, "Patient", one))
    assert [s.id for s in page.included] == ["b"]
    circle = [("_id", "a"), ("_include:iterate", "Patient:link")]
    page = bench.run(bench.page(tenant, "Patient", circle))
    assert [s.id for s in page.included] == ["b", "c"] and page.complete
    more = [*circle, ("_revinclude:iterate", "Observation:subject")]
    bench.run(bench.fill(tenant, [linked("d", "e"), linked("e", "f"), linked("f", "e")]))
    beside = [("_id", "d"), ("_include:iterate", "Patient:link")]
    page = bench.run(bench.page(tenant, "Patient", beside))
    assert [s.id for s in page.included] == ["e", "f"] and page.complete
    page = bench.run(bench.page(tenant, "Patient", more))
    assert [s.id for s in page.included] == ["b", "c", "o"]
    typed = [("_id", "o"), ("_include", "Observation:subject:Group")]
    assert bench.run(bench.page(tenant, "Observation", typed)).included == []
    every = [("_id", "o"), ("_include", "Observation:*")]
    assert len(bench.run(bench.page(tenant, "Observation", every)).included) == 1
    monkeypatch.setattr("services.gateway.store.search_includes.INCLUDED_MAX", 1)
    page = bench.run(bench.page(tenant, "Patient", circle))
    assert len(page.included) == 1 and not page.complete


@pytest.mark.requirement("DX-SEA-09")
def test_a_chain_through_very_many_is_followed_from_each_candidate(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = [patient(f"p{n}", name=[{"family": "Kim" if n % 2 else "Lee"}]) for n in range(8)]
    resources += [observation(f"o{n}", of=f"p{n}", code=f"c{n % 4}") for n in range(8)]
    tenant = filled(bench, *resources)
    asked = [
        ("Observation", [("subject:Patient.name", "kim")]),
        ("Observation", [("subject:Patient.name", "kim"), ("code", "c1,c2")]),
        ("Patient", [("_has:Observation:patient:code", "c1,c2"), ("name", "kim")]),
        ("Patient", [("_has:Observation:subject:patient.name", "lee")]),
    ]
    before = [bench.run(bench.ids(tenant, kind, pairs)) for kind, pairs in asked]
    assert all(before)
    monkeypatch.setattr("services.gateway.store.search.LINKED_MAX", 1)
    assert [bench.run(bench.ids(tenant, kind, pairs)) for kind, pairs in asked] == before
    monkeypatch.setattr("services.gateway.store.search_links.FOLLOWED_MAX", 1)
    with pytest.raises(TooCostly):
        bench.run(bench.ids(tenant, "Patient", asked[2][1]))


@pytest.mark.requirement("DX-SEA-10")
def test_a_compartment_is_searched_by_type_and_whole(bench: Any) -> None:
    tenant = filled(
        bench,
        patient("a"),
        observation("o1"),
        observation("o2", of="b"),
        {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/a"}},
        # Who asks for something is in whose compartment it is when a practitioner, no patient.
        {
            "resourceType": "ServiceRequest",
            "id": "s",
            "subject": {"reference": "Patient/b"},
            "requester": {"reference": "Patient/a"},
        },
    )
    member = Member(("Patient/a",))

    async def found(kind: str, visibility: Visibility) -> set[str]:
        query = parse(kind, [], compartment=member)
        page = await bench.store.searches.page(tenant, query, visibility)
        return {f"{stored.type}/{stored.id}" for stored in page.matches}

    assert bench.run(found("Observation", ALL)) == {"Observation/o1"}
    assert bench.run(found("*", ALL)) == {"Patient/a", "Observation/o1", "Condition/c"}
    own = seen_by(may("ServiceRequest", "a"))
    assert bench.run(bench.ids(tenant, "ServiceRequest", [], own)) == []
    conditions = seen_by(may("Condition", "a"), may("Patient", "b"))
    assert bench.run(found("*", conditions)) == {"Condition/c"}


@pytest.mark.requirement("DX-SEA-03")
def test_in_takes_the_codes_of_a_value_set_that_is_stored(bench: Any) -> None:
    def value_set(name: str, **more: Any) -> dict[str, Any]:
        head = {"resourceType": "ValueSet", "status": "active", "id": name}
        return head | {"url": f"http://x/{name}", **more}

    rule = {"system": "urn:c", "filter": [{"property": "p", "op": "=", "value": "v"}]}
    tenant = filled(
        bench,
        observation("ox"),
        observation("oy", code="y"),
        observation("oz", code="z"),
        value_set(
            "composed",
            compose={
                "include": [{"system": "urn:c", "concept": [{"code": "x"}, {"code": "y"}]}],
                "exclude": [{"system": "urn:c", "concept": [{"code": "y"}]}],
            },
        ),
        value_set(
            "expanded",
            expansion={
                "contains": [
                    {"system": "urn:c", "code": "x", "contains": [{"system": "urn:c", "code": "z"}]}
                ]
            },
        ),
        value_set(
            "other", compose={"include": [{"system": "urn:other", "concept": [{"code": "x"}]}]}
        ),
        value_set("rule", compose={"include": [rule]}),
    )
    for name, value, expected in (
        ("code:in", "http://x/composed", ["ox"]),
        ("code:not-in", "http://x/composed", ["oz", "oy"]),
        ("code:in", "http://x/expanded", ["oz", "ox"]),
        ("code:in", "ValueSet/expanded", ["oz", "ox"]),
        ("code:in", "http://x/other", []),
        ("code:in", "http://x/other,http://x/composed", ["ox"]),
    ):
        assert bench.run(bench.ids(tenant, "Observation", [(name, value)])) == expected
    for value in ("http://x/rule", "http://x/none"):
        with pytest.raises(InvalidInput):
            bench.run(bench.ids(tenant, "Observation", [("code:in", value)]))
    blind = seen_by(may("Observation"))
    with pytest.raises(InvalidInput):
        bench.run(bench.ids(tenant, "Observation", [("code:in", "http://x/composed")], blind))
