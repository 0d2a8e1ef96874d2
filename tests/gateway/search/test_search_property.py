"""The SQL search finds what a slow and obvious search finds, whatever is stored and asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.kernel.fhir import Number

SYSTEMS = ["http://loinc.org", "urn:x", "http://snomed.info/sct"]
CODES = ["a", "A", "b-1", "718-7"]
NAMES = ["Müller", "muller", "MUELLER", "Mü", "张伟", "张", "李 四", "Anna Maria", "de la Cruz",
         "Christopherson", "Christophersen", "O'Neil"]  # fmt: skip
DATES = ["2013", "2013-01", "2013-01-14", "2013-01-31", "2013-01-14T10:00:00Z",
         "2013-01-14T10:00:00+08:00", "2012-12-31T23:59:59-05:00", "2014-02-28"]  # fmt: skip
NUMBERS = ["5.4", "5.40", "5.35", "5.45", "100", "99.5", "100.5", "0", "-3", "0.0054", "1000"]
IDS = ["p1", "p2", "o1", "x"]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]

few = st.sampled_from
maybe = st.booleans()
coding = st.fixed_dictionaries(
    {"code": few(CODES)}, optional={"system": few(SYSTEMS), "display": few(NAMES)}
)
concept = st.fixed_dictionaries(
    {"coding": st.lists(coding, min_size=1, max_size=2)}, optional={"text": few(NAMES)}
)
decimal = few(NUMBERS).map(Number)
measure = st.fixed_dictionaries(
    {"value": decimal},
    optional={"unit": few(["mg", "milligram"]), "system": few(SYSTEMS), "code": few(["mg", "g"])},
)
period = st.fixed_dictionaries(
    {}, optional={"start": few(DATES[:4]), "end": few(DATES[1:])}
).filter(bool)
name = st.fixed_dictionaries(
    {"family": few(NAMES)}, optional={"given": st.lists(few(NAMES), min_size=1, max_size=2)}
)


def reference_to(*kinds: str) -> Any:
    return st.builds(lambda k, i: {"reference": f"{k}/{i}"}, few(list(kinds)), few(IDS))


patient = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "name": st.lists(name, min_size=1, max_size=2),
        "gender": few(["male", "female", "other"]),
        "active": st.booleans(),
        "birthDate": few(DATES[:4]),
        "identifier": st.lists(
            st.fixed_dictionaries({"value": few(CODES)}, optional={"system": few(SYSTEMS)}),
            min_size=1,
            max_size=2,
        ),
        "address": st.fixed_dictionaries({"city": few(NAMES)}).map(lambda a: [a]),
        "managingOrganization": reference_to("Organization"),
        "meta": st.just({"tag": [{"system": "urn:t", "code": "a"}]}),
    },
)
component = st.fixed_dictionaries({"code": concept}, optional={"valueQuantity": measure})
observation = st.fixed_dictionaries(
    {
        "resourceType": st.just("Observation"),
        "status": few(["final", "amended"]),
        "code": concept,
    },
    optional={
        "category": st.lists(concept, min_size=1, max_size=2),
        "subject": reference_to("Patient", "Group"),
        "performer": st.lists(
            st.builds(
                lambda r, i: r | ({"identifier": {"system": "urn:x", "value": i}} if i else {}),
                reference_to("Organization", "Practitioner"),
                few(["", "a", "b-1"]),
            ),
            min_size=1,
            max_size=2,
        ),
        "effectiveDateTime": few(DATES),
        "effectivePeriod": period,
        "valueQuantity": measure,
        "valueString": few(NAMES),
        "component": st.lists(component, min_size=1, max_size=2),
    },
)
organization = st.fixed_dictionaries(
    {"resourceType": st.just("Organization")},
    optional={"name": few(NAMES), "alias": st.lists(few(NAMES), min_size=1, max_size=2)},
)
risk = st.fixed_dictionaries(
    {
        "resourceType": st.just("RiskAssessment"),
        "status": st.just("final"),
        "subject": reference_to("Patient"),
        "prediction": st.lists(
            st.fixed_dictionaries({"probabilityDecimal": decimal}), min_size=1, max_size=2
        ),
    }
)
URLS = [
    "http://acme.org/fhir",
    "http://acme.org/fhir/",
    "http://acme.org/fhir/ValueSet/1",
    "http://acme.org/fhirs/1",
    "http://acme.org",
    "urn:oid:1.2.3",
    "urn:oid:1.2.3.4",
]
value_set = st.fixed_dictionaries(
    {"resourceType": st.just("ValueSet"), "status": st.just("draft")}, optional={"url": few(URLS)}
)
stored = st.lists(
    st.one_of(patient, observation, organization, risk, value_set), min_size=1, max_size=10
)

texts = few([*NAMES, "m", "张", "christoph", "christophersono", "cruz", "伟", "anna  maria", "NEI"])
tokens = st.one_of(
    few(CODES),
    st.builds(lambda s, c: f"{s}|{c}", few([*SYSTEMS, ""]), few(CODES)),
    few([f"{s}|" for s in SYSTEMS]),
)
dates = st.builds(lambda p, d: p + d, few(PREFIXES), few(DATES))
numbers = st.builds(lambda p, n: p + n, few([*PREFIXES, "ap"]), few(NUMBERS))
quantities = st.builds(
    lambda n, u: n + u, numbers, few(["", "||mg", "||milligram", "|urn:x|mg", "|urn:x|g"])
)


def lists(values: Any) -> Any:
    return st.lists(values, min_size=1, max_size=2).map(",".join)


def pair(names: list[str], values: Any) -> Any:
    return st.tuples(few(names), values)


missing = few(["true", "false"])
of_patient = st.one_of(
    pair(["name", "family", "given", "name:contains", "name:exact", "address-city"], lists(texts)),
    pair(["identifier", "identifier:not", "_tag", "gender", "gender:not", "active"], lists(
        st.one_of(tokens, few(["male", "female", "true", "urn:t|a"])))),
    pair(["birthdate"], lists(dates)),
    pair(["name:missing", "birthdate:missing", "identifier:missing"], missing),
    pair(["organization.name", "organization:Organization.name:contains"], texts),
    pair(["_has:Observation:patient:code", "_has:Observation:subject:category"], tokens),
    pair(["_has:Observation:patient:date"], dates),
    pair(["_has:Observation:patient:performer.name"], texts),
    pair(["_id"], lists(few(IDS))),
)  # fmt: skip
of_observation = st.one_of(
    pair(["code", "category", "combo-code", "code:not", "status"], lists(tokens)),
    pair(["code:text", "category:text"], lists(texts)),
    pair(["date"], lists(dates)),
    pair(["value-quantity", "combo-value-quantity"], lists(quantities)),
    pair(["value-string", "value-string:contains", "value-string:exact"], lists(texts)),
    pair(["value-quantity:missing", "date:missing", "subject:missing"], missing),
    pair(["subject", "patient", "subject:Patient"], few(["Patient/p1", "p1", "p2"])),
    pair(["performer:identifier"], tokens),
    pair(["subject:Patient.name", "patient.family", "patient.name:contains"], texts),
    pair(["subject:Patient.organization.name", "performer:Organization.name"], texts),
    pair(["code-value-quantity", "component-code-value-quantity"], st.builds(
        lambda t, q: f"{t}${q}", tokens, quantities)),
)  # fmt: skip
query = st.one_of(
    st.tuples(st.just("Patient"), st.lists(of_patient, min_size=1, max_size=3)),
    st.tuples(st.just("Observation"), st.lists(of_observation, min_size=1, max_size=3)),
    st.tuples(
        st.just("RiskAssessment"),
        st.lists(pair(["probability"], lists(numbers)), min_size=1, max_size=2),
    ),
    st.tuples(
        st.just("ValueSet"),
        st.lists(pair(["url", "url:below", "url:above"], lists(few(URLS))), min_size=1, max_size=2),
    ),
)


def named(resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return resources with ids, the first of a type those that others refer to."""
    counts: dict[str, int] = {}
    found = []
    for resource in resources:
        kind = resource["resourceType"]
        place = counts[kind] = counts.get(kind, -1) + 1
        own = {"Patient": ["p1", "p2", "x"], "Organization": ["o1", "x", "p1"]}.get(kind, [])
        found.append({**resource, "id": own[place] if place < len(own) else f"r{place}"})
    return found


@pytest.mark.requirement("DX-SEA-01")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stored=stored, queries=st.lists(query, min_size=4, max_size=8), count=few([1, 2, 20]))
def test_search_agrees_with_the_reference(
    bench: Any, reference: Any, stored: Any, queries: Any, count: int
) -> None:
    resources = named(stored)
    tenant = bench.fresh_tenant()
    bench.run(bench.fill(tenant, resources))
    obvious = reference.Reference(resources)
    for kind, pairs in queries:
        expected = [r["id"] for r in obvious.search(kind, pairs)]
        found = bench.run(bench.ids(tenant, kind, [*pairs, ("_count", str(count))]))
        assert found == expected, (kind, pairs)
        counted = bench.run(bench.page(tenant, kind, [*pairs, ("_summary", "count")]))
        assert counted.total == len(expected), (kind, pairs)
