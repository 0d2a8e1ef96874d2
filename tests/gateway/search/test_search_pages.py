"""Order, pages and totals; includes; visibility; tenants. On SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from services.gateway.fhir.search import costs
from services.gateway.fhir.search.costs import TooCostly
from services.gateway.fhir.search.query import parse
from services.kernel.errors import InvalidInput
from tests.gateway.search.filling import (
    ALL,
    filled,
    observation,
    patient,
)


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
