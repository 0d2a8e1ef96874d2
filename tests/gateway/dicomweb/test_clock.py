"""Times of day on the way out: what anonymization moved comes back exactly as it was."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.anonymization.dates import shift_dt, shift_tm
from services.gateway.dicomweb.clock import to_true_datetime, to_true_time

SHIFTS = st.integers(60, 1800)


@pytest.mark.requirement("DX-DWB-14")
@given(st.integers(0, 86_399_999), SHIFTS)
@example(82_799_999, 1800)
@example(82_800_000, 60)
@example(86_399_999, 1800)
def test_a_time_of_day_comes_back_to_the_millisecond(at_ms: int, shift_s: int) -> None:
    seconds, ms = divmod(at_ms, 1000)
    text = f"{seconds // 3600:02}{seconds % 3600 // 60:02}{seconds % 60:02}"
    for sent in (text, f"{text}.{ms:03}"):
        moved = shift_tm(sent, shift_s)
        assert moved and moved != sent
        assert float(to_true_time(moved, shift_s)) == float(sent)


@pytest.mark.requirement("DX-DWB-14")
@given(st.integers(0, 1439), SHIFTS)
@example(1380, 60)
@example(1439, 1800)
def test_a_time_without_seconds_comes_back_as_it_was(minute: int, shift_s: int) -> None:
    sent = f"{minute // 60:02}{minute % 60:02}"
    assert to_true_time(shift_tm(sent, shift_s) or "", shift_s) == sent


@given(st.integers(0, 23), SHIFTS)
def test_an_hour_alone_comes_back_with_its_minutes(hour: int, shift_s: int) -> None:
    assert to_true_time(shift_tm(f"{hour:02}", shift_s) or "", shift_s) == f"{hour:02}00"


def test_minutes_of_the_last_hour_as_an_earlier_version_moved_them() -> None:
    assert to_true_time("233730.000000", 1800) == "231500"


@given(st.integers(82_800_000_000, 86_399_999_999), SHIFTS)
@example(86_399_999_999, 1800)
def test_microseconds_of_the_last_hour_come_back_to_one(at_us: int, shift_s: int) -> None:
    seconds, us = divmod(at_us, 1_000_000)
    moved = shift_tm(f"23{seconds % 3600 // 60:02}{seconds % 60:02}.{us:06}", shift_s)
    back = to_true_time(moved or "", shift_s).partition(".")
    found = int(back[0][:2]) * 3600 + int(back[0][2:4]) * 60 + int(back[0][4:])
    assert abs(found * 1_000_000 + int((back[2] or "0").ljust(6, "0")) - at_us) <= 1


@pytest.mark.requirement("DX-DWB-14")
@pytest.mark.parametrize(
    "sent",
    ["20260102101500.250000+0800", "20260102234501.5-0330", "20260301", "202601021015", "20260102"],
)
def test_dates_with_times_come_back(sent: str) -> None:
    assert to_true_datetime(shift_dt(sent, -300, 1234) or "", 300, 1234) == sent


@pytest.mark.parametrize(
    "text", ["000000.01", "19000101000000.01", "19000101", "2026", "", "no time", "99"]
)
def test_what_was_not_moved_stays(text: str) -> None:
    assert to_true_time(text, 600) == text or text.isdigit()
    assert to_true_datetime(text, 10, 600) == text


def test_of_a_case_of_an_earlier_version_only_days_come_back() -> None:
    assert to_true_datetime("20260101101500", 10, 0) == "20260111101500"
    assert to_true_time("101500", 0) == "101500"
