"""What each parameter type, prefix and modifier means: the tables of the R4 search page.

Each row is a line of the standard's own text (search.html, 3.1.1.4), or follows from one.
"""

from __future__ import annotations

from typing import Any

import pytest

from services.kernel import fhir
from tests.gateway.search.finding import found, observation, patient


def dated(value: Any) -> dict[str, Any]:
    name = "effectivePeriod" if isinstance(value, dict) else "effectiveDateTime"
    return observation(**{name: value})


FROM_15_MARCH = {"start": "2013-03-15"}
FROM_21_JANUARY = {"start": "2013-01-21"}
UNTIL_21_JANUARY = {"end": "2013-01-21"}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        # 3.1.1.4.6, the table of prefixes
        ("eq2013-01-14", "2013-01-14T00:00:00Z", True),
        ("eq2013-01-14", "2013-01-14T10:00:00Z", True),
        ("eq2013-01-14", "2013-01-15T00:00:00Z", False),
        ("ne2013-01-14", "2013-01-15T00:00:00Z", True),
        ("ne2013-01-14", "2013-01-14T00:00:00Z", False),
        ("ne2013-01-14", "2013-01-14T10:00:00Z", False),
        ("lt2013-01-14T10:00", "2013-01-14", True),
        ("gt2013-01-14T10:00", "2013-01-14", True),
        ("ge2013-03-14", FROM_21_JANUARY, True),
        ("le2013-03-14", FROM_21_JANUARY, True),
        ("sa2013-03-14", FROM_15_MARCH, True),
        ("sa2013-03-14", FROM_21_JANUARY, False),
        ("sa2013-03-14", UNTIL_21_JANUARY, False),
        ("eb2013-03-14", FROM_15_MARCH, False),
        ("eb2013-03-14", FROM_21_JANUARY, False),
        ("eb2013-03-14", UNTIL_21_JANUARY, True),
        ("ap2013-03-14", "2013-03-14", True),
        ("ap2013-03-14", "2013-01-21", True),
        ("ap2013-03-14", "1990-01-21", False),
        # precision is the range a date covers
        ("2013", "2013-05-01", True),
        ("2013-05", "2013-05-31T23:59:59Z", True),
        ("2013-05", "2013", False),
        ("2013-01-14T10:00:00Z", "2013-01-14T18:00:00+08:00", True),
        ("2013-01-14T18:00:00 08:00", "2013-01-14T10:00:00Z", True),
        ("2013-01-14T10:00", "2013-01-14T10:00:59Z", True),
        ("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.512Z", True),
        ("2013-01-14T10:00:00.5Z", "2013-01-14T10:00:00.612Z", False),
        ("2012-02", "2012-02-29", True),
        ("gt2013", "2013-12-31", False),
        ("gt2013-06", "2013", True),
        ("ge2013-01-14", "2013-01-14", True),
        ("le2013-01-14", "2013-01-14T23:00:00Z", True),
        # a period, its bounds
        ("2013", {"start": "2013-02-01", "end": "2013-03-01"}, True),
        ("2013", {"start": "2013-02-01"}, False),
        ("eq2013-02", {"start": "2013-02-01", "end": "2013-03-01"}, False),
        ("9999", "9999-12-31", True),
    ],
)
def test_dates(asked: str, value: Any, expected: bool) -> None:
    assert found(dated(value), "date", asked) is expected


def test_a_timing_counts_from_its_first_to_its_last_moment() -> None:
    events = {"event": ["2013-01-31", "2013-03-24"]}
    request = {"resourceType": "ServiceRequest", "occurrenceTiming": events}
    assert found(request, "occurrence", "ge2013-02-01")
    assert found(request, "occurrence", "2013")
    assert not found(request, "occurrence", "2013-02")
    bounds = {"repeat": {"boundsPeriod": {"start": "2013-01-31", "end": "2013-03-24"}}}
    assert found({**request, "occurrenceTiming": bounds}, "occurrence", "lt2013-02")


def probability(value: str) -> dict[str, Any]:
    prediction = [{"probabilityDecimal": fhir.Number(value)}]
    return {"resourceType": "RiskAssessment", "status": "final", "prediction": prediction}


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "value", "expected"),
    [
        # 3.1.1.4.5
        ("100", "99.5", True),
        ("100", "100.49", True),
        ("100", "100.5", False),
        ("100", "99.49", False),
        ("100.00", "99.995", True),
        ("100.00", "100.005", False),
        ("1e2", "95", True),
        ("1e2", "104.99", True),
        ("1e2", "105", False),
        ("1e2", "94.9", False),
        ("lt100", "99.9999", True),
        ("lt100", "100", False),
        ("le100", "100", True),
        ("le100", "100.0001", False),
        ("gt100", "100.0001", True),
        ("gt100", "100", False),
        ("ge100", "100", True),
        ("ne100", "100.2", False),
        ("ne100", "101", True),
        ("sa100", "101", True),
        ("eb100", "99", True),
        ("ap100", "109", True),
        ("ap100", "111", False),
        ("-3", "-3.2", True),
        ("lt-3", "-4", True),
        ("0.8", "0.80", True),
        ("0.123456789012345", "0.123456789012345", True),
        ("0.123456789012345", "0.123456789012346", False),
    ],
)
def test_numbers(asked: str, value: str, expected: bool) -> None:
    assert found(probability(value), "probability", asked) is expected


UCUM = "http://unitsofmeasure.org"


def measured(value: str, unit: str = "mg", system: str = UCUM, **more: Any) -> dict[str, Any]:
    quantity = {"value": fhir.Number(value), "unit": "milligram", "code": unit}
    return observation(valueQuantity=quantity | ({"system": system} if system else {}) | more)


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("asked", "resource", "expected"),
    [
        # 3.1.1.4.11
        (f"5.4|{UCUM}|mg", measured("5.4"), True),
        (f"5.4|{UCUM}|mg", measured("5.449"), True),
        (f"5.4|{UCUM}|mg", measured("5.45"), False),
        (f"5.4|{UCUM}|mg", measured("5.4", "g"), False),
        (f"5.4|{UCUM}|mg", measured("5.4", system="urn:other"), False),
        (f"5.40e-3|{UCUM}|g", measured("0.0054", "g"), True),
        (f"5.40e-3|{UCUM}|g", measured("0.00544", "g"), True),
        (f"5.40e-3|{UCUM}|g", measured("0.00546", "g"), False),
        ("5.4||mg", measured("5.4", system=""), True),
        ("5.4||milligram", measured("5.4"), True),
        ("5.4||kg", measured("5.4"), False),
        ("5.4", measured("5.4", "kg"), True),
        (f"le5.4|{UCUM}|mg", measured("5.4"), True),
        (f"ap5.4|{UCUM}|mg", measured("5.9"), True),
        (f"ap5.4|{UCUM}|mg", measured("6"), False),
        ("lt5", measured("5", comparator="<"), True),
        ("gt5", measured("5", comparator="<"), False),
        ("gt100", measured("5", comparator=">="), True),
    ],
)
def test_quantities(asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, "value-quantity", asked) is expected


def test_a_range_and_money_are_quantities() -> None:
    onset = {"low": {"value": 20, "code": "a"}, "high": {"value": 29, "code": "a"}}
    condition = {"resourceType": "Condition", "onsetRange": onset}
    assert found(condition, "onset-age", "lt25") and found(condition, "onset-age", "gt25")
    assert not found(condition, "onset-age", "gt29")
    invoice = {"resourceType": "Invoice", "totalGross": {"value": 48, "currency": "EUR"}}
    assert found(invoice, "totalgross", "48|urn:iso:std:iso:4217|EUR")
    assert not found(invoice, "totalgross", "48|urn:iso:std:iso:4217|USD")


def called(family: str, *given: str) -> dict[str, Any]:
    return patient(name=[{"family": family, "given": list(given)}])


@pytest.mark.requirement("DX-SEA-03")
@pytest.mark.parametrize(
    ("name", "asked", "resource", "expected"),
    [
        # 3.1.1.4.8
        ("given", "eve", called("x", "Eve"), True),
        ("given", "eve", called("x", "Evelyn"), True),
        ("given", "eve", called("x", "Severine"), False),
        ("given:contains", "eve", called("x", "Eve"), True),
        ("given:contains", "eve", called("x", "Evelyn"), True),
        ("given:contains", "eve", called("x", "Severine"), True),
        ("given:exact", "Eve", called("x", "Eve"), True),
        ("given:exact", "Eve", called("x", "eve"), False),
        ("given:exact", "Eve", called("x", "EVE"), False),
        ("family", "muller", called("Müller"), True),
        ("family", "MÜLLER", called("muller"), True),
        ("family:exact", "Müller", called("Muller"), False),
        ("family", "strasse", called("Straße"), True),
        ("family", "o'neil", called("O'Neil"), True),
        ("name", "张", called("张", "伟"), True),
        ("name", "张伟", called("张", "伟"), True),
        ("name", "张 伟", called("张", "伟"), True),
        ("name:contains", "伟", called("张", "大伟"), True),
        ("name", "Ｚhang", called("zhang"), True),
        ("name", "anna  maria", called("x", "Anna Maria"), True),
        ("name", "a\\,b", called("A,B"), True),
        ("name", "smith,jones", called("Jones"), True),
        ("family:missing", "true", patient(), True),
        ("family:missing", "false", called("x"), True),
        ("family:missing", "true", called("x"), False),
        ("family", "が", called("か"), False),
    ],
)
def test_strings(name: str, asked: str, resource: dict[str, Any], expected: bool) -> None:
    assert found(resource, name, asked) is expected
