"""Pseudonyms and dates: stable for a patient, keyed by tenant, never the original."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.anonymization import dates
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash

DAYS = st.dates(dt.date(1910, 1, 1), dt.date(2099, 12, 31))
SHIFTS = st.integers(-730, -1)
SECONDS = st.integers(60, 1800)


def of(subject: str, key: bytes = b"a" * 32) -> Pseudonyms:
    return Pseudonyms(KeyedHash(key), subject)


@pytest.mark.requirement("DX-ID-03")
@given(st.text(min_size=1), st.text(min_size=1))
def test_pseudonyms_are_stable_and_belong_to_one_tenant(subject: str, uid: str) -> None:
    first, again, other = of(subject), of(subject), of(subject, b"b" * 32)
    assert first.uid(uid) == again.uid(uid) != other.uid(uid)
    assert first.subject_pseudonym() == again.subject_pseudonym() != other.subject_pseudonym()
    assert (first.shift_days, first.shift_seconds) == (again.shift_days, again.shift_seconds)
    assert -730 <= first.shift_days <= -1
    assert 60 <= first.shift_seconds <= 1800


@given(st.text(alphabet="0123456789.", min_size=1, max_size=64))
def test_new_uid_is_valid(uid: str) -> None:
    new = of("s").uid(uid)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", new)
    assert len(new) <= 64


@pytest.mark.requirement("DX-ID-03")
@given(DAYS, DAYS, SHIFTS)
def test_intervals_in_days_stay_exact(first: dt.date, second: dt.date, days: int) -> None:
    moved = [dates.shift_da(f"{day:%Y%m%d}", days) or "" for day in (first, second)]
    ends = [dt.datetime.strptime(text, "%Y%m%d").date() for text in moved]
    assert ends[1] - ends[0] == second - first
    assert ends[0] != first


@pytest.mark.requirement("DX-ID-03")
@given(st.times(), st.times(), SECONDS)
@example(dt.time(23, 59, 59, 500_000), dt.time(23, 59, 59, 999_999), 1800)
def test_times_keep_their_order_within_the_day_and_never_stay(
    first: dt.time, second: dt.time, seconds: int
) -> None:
    early, late = sorted((first, second))
    assume(early < dt.time(23, 59, 59, 990_000))  # there is no room behind the day's last
    texts = [f"{each:%H%M%S}.{each.microsecond:06}" for each in (early, late)]
    moved = [dates.shift_tm(text, seconds) or "" for text in texts]
    assert moved[0] <= moved[1]
    assert all(re.fullmatch(r"([01]\d|2[0-3])[0-5]\d[0-5]\d\.\d{6}", text) for text in moved)
    assert moved[0] != texts[0]


@given(st.sampled_from(["10", "1030", "103045", "103045.5", "235959", "2359", "23", "000000"]))
def test_time_of_any_precision_moves(text: str) -> None:
    moved = dates.shift_tm(text, 60)
    assert moved not in (None, text)
    assert re.fullmatch(r"\d{4}(\d{2}(\.\d{1,6})?)?", moved or "")


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("20240305101530.25+0800", "20240224101630.250000+0800"),
        ("202403", "202402"),
        ("2024", "2024"),
        ("20240305", "20240224"),
    ],
)
def test_datetime_keeps_precision_and_zone(text: str, moved: str) -> None:
    assert dates.shift_dt(text, -10, 60) == moved


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("2024-03-05", "2024-02-24"),
        ("2024-03-05T10:15:30.5+08:00", "2024-02-24T10:15:30.5+08:00"),
        ("2024-03-05T10:15Z", "2024-02-24T10:15Z"),
        ("2024-03", "2024"),
        ("2024", "2024"),
        ("yesterday", None),
        ("2024-03-05Tzhang", None),
        ("2024-02-31", None),
        ("0001-01-02", None),
    ],
)
def test_fhir_dates_move_by_days(text: str, moved: str | None) -> None:
    assert dates.shift_fhir(text, -10) == moved


@pytest.mark.parametrize("text", ["", "2024030", "20241301", "Zhao", "99999999", "20240305\\x"])
def test_what_is_no_date_is_not_kept(text: str) -> None:
    assert dates.shift_da(text, -10) is None


def test_age_in_years() -> None:
    assert dates.years_between("19600502", "20240305") == pytest.approx(63.84, abs=0.01)
    assert dates.years_between("2024-03-05", "1960") is None
    assert dates.years_between("", "2024") is None
