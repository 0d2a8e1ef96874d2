"""Ranges of children, of pregnancy and of the old, and what is critical: INR, lactate, ketones …"""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.labs import critical, ranges, tables
from services.labs.interpret import Flag, Result, interpret
from services.labs.panel import Measured, Quantity, Subject
from services.labs.reasons import CriticalNotExcluded

WOMAN = Subject("female", 31)
UNITS = {
    **{"inr": "{INR}", "lactate": "mmol/L", "hs-troponin-t": "ng/L", "wbc": "10*9/L"},
    **{"beta-hydroxybutyrate": "mmol/L", "k": "mmol/L", "ck": "U/L", "alt": "U/L", "alp": "U/L"},
    **{"urea": "mmol/L", "creatinine": "umol/L", "ldh": "U/L", "hgb": "g/L", "ck-mb": "ng/mL"},
    **{"troponin-i": "ng/mL", "neut": "10*9/L", "urate": "umol/L", "glucose": "mmol/L"},
}
LOINC = {
    **{"inr": "6301-6", "lactate": "2524-7", "hs-troponin-t": "67151-1", "wbc": "6690-2"},
    **{"beta-hydroxybutyrate": "6873-4", "k": "2823-3", "ck": "2157-6", "alt": "1742-6"},
    **{"alp": "6768-6", "urea": "22664-7", "creatinine": "14682-9", "ldh": "14804-9"},
    **{"hgb": "718-7", "ck-mb": "13969-1", "troponin-i": "10839-9", "neut": "751-8"},
    **{"urate": "14933-6", "glucose": "14749-6"},
}


def one(
    analyte: str, value: str, subject: Subject, table: critical.Table = critical.DEFAULTS
) -> Result:
    number = value.lstrip("<>=")
    comparator = value.removesuffix(number)
    quantity = Quantity(Decimal(number), number, comparator, "", UNITS[analyte])
    item = Measured("o", "final", (LOINC[analyte],), quantity=quantity)
    (result,) = interpret([item], subject, table)
    assert result.name == analyte
    return result


@pytest.mark.requirement("DX-CRI-01")
@pytest.mark.parametrize(
    ("analyte", "value", "flag"),
    [
        ("inr", "8.4", Flag.CRITICAL_HIGH),
        ("inr", ">8.0", Flag.CRITICAL_HIGH),
        ("inr", "5.0", Flag.CRITICAL_HIGH),
        ("inr", ">=5.0", Flag.CRITICAL_HIGH),
        ("inr", "4.9", Flag.HIGH),
        ("lactate", "4.6", Flag.CRITICAL_HIGH),
        ("lactate", "3.4", Flag.HIGH),
        ("beta-hydroxybutyrate", ">5.0", Flag.CRITICAL_HIGH),
        ("hs-troponin-t", "1250", Flag.CRITICAL_HIGH),
        ("hs-troponin-t", "51", Flag.HIGH),
        ("troponin-i", "0.30", Flag.CRITICAL_HIGH),
        ("neut", "0.5", Flag.CRITICAL_LOW),
        ("neut", "<0.1", Flag.CRITICAL_LOW),
        ("ck", ">10000", Flag.CRITICAL_HIGH),
        ("alt", "8420", Flag.CRITICAL_HIGH),
        ("ck-mb", "68", Flag.HIGH),
    ],
)
def test_what_a_hospital_is_told_at_once(analyte: str, value: str, flag: Flag) -> None:
    result = one(analyte, value, WOMAN)
    assert result.flag is flag
    assert bool(result.critical_source) is result.critical


@pytest.mark.requirement("DX-CRI-01")
def test_a_tenants_limit_may_itself_be_critical() -> None:
    row = {"analyte": "k", "unit": "mmol/L", "low": "<=2.8", "high": "≥ 6.2", "source": "here"}
    table = critical.before(critical.load([row]))
    flags = {v: one("k", v, WOMAN, table).flag for v in ("2.8", "2.9", "6.1", "6.2", ">=6.2")}
    assert [flags[v] for v in ("2.8", "6.2", ">=6.2")] == [
        Flag.CRITICAL_LOW,
        Flag.CRITICAL_HIGH,
        Flag.CRITICAL_HIGH,
    ]
    assert not {flags["2.9"], flags["6.1"]} & {Flag.CRITICAL_LOW, Flag.CRITICAL_HIGH}
    unsure = one("k", "<=2.9", WOMAN, table)
    assert [type(each) for each in unsure.remarks] == [CriticalNotExcluded]
    shared = {**row, "low": ">=2.8"}
    with pytest.raises(Exception, match="cannot be used"):
        critical.load([shared])


@pytest.mark.requirement("DX-CRI-01")
def test_every_default_limit_names_its_source() -> None:
    assert all(len(row["source"]) > 15 for row in tables.rows("critical"))
    assert {"inr", "lactate", "beta-hydroxybutyrate", "hs-troponin-t"} <= critical.DEFAULTS.keys()


@pytest.mark.requirement("DX-LDU-06")
@pytest.mark.parametrize(
    ("analyte", "subject", "low", "high"),
    [
        ("wbc", Subject("female", 2.5, age_days=913), "4.4", "11.9"),
        ("wbc", Subject("male", 0.1, age_days=40), "4.3", "14.2"),
        ("hgb", Subject("female", 14), "114", "154"),
        ("hgb", Subject("male", 14), "129", "172"),
        ("alp", Subject("male", 13), "160", "610"),
        ("creatinine", Subject("female", 2.5), "19", "44"),
        ("creatinine", Subject("male", 18), None, None),
        ("wbc", Subject("male", 18), "3.5", "9.5"),
        ("wbc", Subject("male", 0.05, age_days=20), None, None),
        ("urea", Subject("male", 72), "3.6", "9.5"),
        ("urea", Subject("female", 67), "3.1", "8.8"),
        ("urea", Subject("female", 59.9), "2.6", "7.5"),
        ("alt", Subject("female", 31, pregnant=True, gestation_weeks=34), "2", "25"),
        ("ldh", Subject("female", 31, pregnant=True, gestation_weeks=34), "82", "524"),
        ("creatinine", Subject("female", 31, pregnant=True, gestation_weeks=34), "36", "68"),
        ("urate", Subject("female", 31, pregnant=True, gestation_weeks=10), "122", "297"),
        ("alt", Subject("female", 31, pregnant=True), None, None),
    ],
)
def test_the_range_of_the_age_and_of_the_trimester(
    analyte: str, subject: Subject, low: str | None, high: str | None
) -> None:
    held = one(analyte, "100", subject).range
    found = (held.low, held.high) if held else (None, None)
    assert found == tuple(None if each is None else Decimal(each) for each in (low, high))


@pytest.mark.requirement("DX-LDU-06")
def test_no_two_built_in_ranges_hold_for_one_person() -> None:
    for name, rows in ranges.BUILT_IN.items():
        for n, row in enumerate(rows):
            for other in rows[n + 1 :]:
                apart = row.age_below <= other.age_from or other.age_below <= row.age_from
                sexes = "all" not in (row.sex, other.sex) and row.sex != other.sex
                kept = row.trimester != other.trimester or row.specimen != other.specimen
                assert apart or sexes or kept, f"{name}: {row} and {other}"


@pytest.mark.requirement("DX-LDU-06")
def test_a_limit_at_an_open_end_is_outside() -> None:
    item = Measured(
        "o",
        "final",
        (LOINC["glucose"],),
        quantity=Quantity(Decimal(7), "7.0", ">=", "", "mmol/L"),
        ranges=({"text": "<7.0"},),
    )
    (result,) = interpret([item], WOMAN)
    assert result.flag is Flag.HIGH
