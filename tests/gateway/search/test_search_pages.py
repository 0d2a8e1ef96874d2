"""Order, pages and totals; includes; visibility; tenants. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from services.gateway.access.rights import EVERYTHING, Permission, Rights, Visibility
from services.gateway.fhir.search import costs
from services.gateway.fhir.search.costs import TooCostly
from services.gateway.fhir.search.criteria import Member
from services.gateway.fhir.search.query import parse
from services.kernel.errors import InvalidInput

ALL = EVERYTHING.visibility("s")
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def patient(own_id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": own_id} | more


def observation(name: str, of: str = "a", code: str = "x", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": "final",
        "code": {"coding": [{"system": "urn:c", "code": code}]},
        "subject": {"reference": f"Patient/{of}"},
    } | more


def filled(bench: Any, *resources: dict[str, Any]) -> str:
    tenant = str(bench.fresh_tenant())
    bench.run(bench.fill(tenant, resources))
    return tenant


@pytest.mark.requirement("DX-SEA-05")
@pytest.mark.parametrize("count", [1, 3, 7, 50])
def test_sorted_pages_are_the_sorted_whole(bench: Any, count: int) -> None:
    dice = random.Random(7)
    dates = [None, "2013", "2013-01", "2013-01-14", "2014-02-01T10:00:00Z"]
    resources = [
        observation(f"o{n}", effectiveDateTime=date)
        if (date := dice.choice(dates))
        else observation(f"o{n}")
        for n in range(20)
    ]
    tenant = filled(bench, *resources)
    for sort, step in (("date", 1), ("-date", -1)):
        found = bench.run(
            bench.ids(tenant, "Observation", [("_sort", sort), ("_count", str(count))])
        )
        assert sorted(found) == sorted(r["id"] for r in resources)
        by_id = {r["id"]: r.get("effectiveDateTime") for r in resources}
        shown = [by_id[one] for one in found]
        with_value = [d for d in shown if d]
        assert shown[: len(with_value)] == with_value, "those without a value come last"
        begins = [f"{d}-01-01"[:10] for d in with_value]
        if step > 0:
            assert begins == sorted(begins)
        else:
            ends = [dates.index(d) for d in with_value]
            last = {4: 4, 1: 3, 2: 2, 3: 1}
            assert [last[n] for n in ends] == sorted((last[n] for n in ends), reverse=True)


@pytest.mark.requirement("DX-SEA-05")
def test_strings_and_several_keys_are_sorted_up_to_a_limit(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = filled(
        bench,
        patient("1", name=[{"family": "Zhou"}], birthDate="1990"),
        patient("2", name=[{"family": "Äbel"}], birthDate="1980"),
        patient("3", name=[{"family": "abel"}], birthDate="1990"),
        patient("4"),
    )
    for count in ("1", "3", "9"):
        pairs = [("_count", count)]
        up = bench.run(bench.ids(tenant, "Patient", [("_sort", "family,birthdate"), *pairs]))
        assert up == ["2", "3", "1", "4"]
        down = bench.run(bench.ids(tenant, "Patient", [("_sort", "-birthdate,family"), *pairs]))
        assert down == ["3", "1", "2", "4"]
    monkeypatch.setattr("services.gateway.store.search_sort.SORT_MAX", 3)
    with pytest.raises(TooCostly) as refused:
        bench.run(bench.ids(tenant, "Patient", [("_sort", "family")]))
    assert "over 3 matches" in refused.value.message
    assert len(bench.run(bench.ids(tenant, "Patient", [("_sort", "-birthdate")]))) == 4


@pytest.mark.requirement("DX-SEA-05")
def test_sorting_by_last_update_and_walking_the_index(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = filled(bench, *(observation(f"o{n}") for n in range(6)))
    bench.run(bench.fill(tenant, [observation("o2", code="y")]))
    newest = bench.run(bench.ids(tenant, "Observation", [("_sort", "-_lastUpdated")]))
    assert newest[0] == "o2"
    for most in (0, 10_000):  # 0: every condition is too large to be collected
        monkeypatch.setattr("services.gateway.store.search_sql.COUNT_MAX", most)
        monkeypatch.setattr("services.gateway.store.search_sql.FIRST_COUNT_MAX", min(most, 500))
        monkeypatch.setattr("services.gateway.store.search_sql.WALK_MAX", max(1, most // 10))
        pairs = [("_sort", "_lastUpdated"), ("code", "urn:c|x"), ("patient", "a"), ("_count", "2")]
        found = bench.run(bench.ids(tenant, "Observation", pairs))
        assert sorted(found) == ["o0", "o1", "o3", "o4", "o5"]
        pairs = [("date:missing", "true"), ("status", "final,amended"), ("_count", "4")]
        assert len(bench.run(bench.ids(tenant, "Observation", pairs))) == 6


@pytest.mark.requirement("DX-SEA-06")
def test_pages_are_stable_while_others_write(bench: Any) -> None:
    names = [f"o{n:02}" for n in range(30)]
    tenant = filled(bench, *(observation(name) for name in names))

    async def read() -> list[str]:
        found: list[str] = []
        after = ""
        while True:
            page = await bench.page(tenant, "Observation", [("_count", "4")], after=after)
            found += [stored.id for stored in page.matches]
            await asyncio.sleep(0)
            if not page.next:
                return found
            after = page.next

    async def write() -> None:
        for n in range(12):
            await bench.fill(tenant, [observation(f"new{n}")])
            await bench.fill(tenant, [observation(f"o{n:02}", code="changed")])

    async def both() -> list[str]:
        found, _ = await asyncio.gather(read(), write())
        return list(found)

    found = bench.run(both())
    assert len(found) == len(set(found))
    assert [one for one in found if one in names] == names[::-1]


@pytest.mark.requirement("DX-SEA-06")
def test_a_place_is_bound_to_its_query_and_tenant(bench: Any) -> None:
    resources = [observation(f"o{n}") for n in range(4)]
    tenant, other = filled(bench, *resources), filled(bench, *resources)
    pairs = [("status", "final"), ("_count", "1")]
    place = bench.run(bench.page(tenant, "Observation", pairs)).next
    assert bench.run(bench.page(tenant, "Observation", pairs, after=place)).matches[0].id == "o2"
    more = [("status", "final"), ("_count", "2")]
    assert len(bench.run(bench.page(tenant, "Observation", more, after=place)).matches) == 2
    broken = ("A" if place[20] != "A" else "B").join((place[:20], place[21:]))
    for who, asked, token in (
        (other, pairs, place),
        (tenant, [("status", "amended"), ("_count", "1")], place),
        (tenant, pairs, broken),
        (tenant, pairs, "x"),
        (tenant, pairs, "é"),
        (tenant, pairs, "A" * 9000),
    ):
        with pytest.raises(InvalidInput):
            bench.run(bench.page(who, "Observation", asked, after=token))


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


def seen_by(*permissions: Permission, restricted: bool = False) -> Visibility:
    return Rights(permissions, restricted).visibility("s")


def may(kind: str, patient_id: str = "", *criteria: tuple[str, str]) -> Permission:
    return Permission(kind, frozenset("rs"), patient_id, criteria)


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


@pytest.mark.requirement("DX-SEA-09")
def test_a_search_that_reads_much_ends_its_page_early(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = filled(
        bench, *(patient(f"p{n}", name=[{"family": f"Christopherso{'n' if n == 3 else 'x'}"}])
                 for n in range(120))
    )  # fmt: skip
    pairs = [("family", "christopherson")]
    monkeypatch.setattr("services.gateway.store.search.SCAN_MAX", 50)
    page = bench.run(bench.page(tenant, "Patient", pairs))
    assert page.matches == [] and page.next and page.total is None
    assert bench.run(bench.ids(tenant, "Patient", pairs)) == ["p3"]
    monkeypatch.setattr("services.gateway.store.search.COUNT_SCAN_MAX", 60)
    with pytest.raises(TooCostly):
        bench.run(bench.page(tenant, "Patient", [*pairs, ("_total", "accurate")]))
    page = bench.run(bench.page(tenant, "Patient", [*pairs, ("_total", "estimate")]))
    assert page.total is None
    assert costs.COUNT_SCAN_MAX > costs.SCAN_MAX


@pytest.mark.requirement("DX-SEA-10")
def test_a_change_and_a_deletion_change_what_is_found(bench: Any) -> None:
    tenant = filled(bench, patient("a", name=[{"family": "Kim"}], birthDate="1990"))
    bench.run(bench.fill(tenant, [patient("a", name=[{"family": "Lee"}])]))
    assert bench.run(bench.ids(tenant, "Patient", [("family", "kim")])) == []
    assert bench.run(bench.ids(tenant, "Patient", [("birthdate", "1990")])) == []
    assert bench.run(bench.ids(tenant, "Patient", [("family", "lee")])) == ["a"]

    async def remove() -> None:
        async with bench.store.resources.writing(tenant) as writing:
            await writing.remove("Patient", "a")

    bench.run(remove())
    for pairs in ([], [("family", "lee")], [("_id", "a")]):
        assert bench.run(bench.ids(tenant, "Patient", pairs)) == []
    assert bench.run(bench.store.searches.visible(tenant, "Patient", ["a"], ALL)) == set()


@pytest.mark.requirement("DX-SEA-10")
def test_a_search_inside_a_transaction_sees_its_changes(bench: Any) -> None:
    tenant = filled(bench, patient("a"))

    async def look() -> list[tuple[str, str]]:
        async with bench.store.resources.writing(tenant) as writing:
            await writing.save(patient("b", name=[{"family": "New"}]))
            query = parse("Patient", [("family", "new")])
            return list(await bench.store.searches.keys(writing.connection, tenant, query, ALL, 2))

    assert bench.run(look()) == [("Patient", "b")]


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
