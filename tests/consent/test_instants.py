"""FHIR dateTimes as spans of time."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.consent.instants import span

CHINA = timezone(timedelta(hours=8))


@given(st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", fullmatch=True))
def test_any_text_is_a_span_or_none(text: str) -> None:
    found = span(text, CHINA)
    assert found is None or found.start < found.end


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2025-12-31T16:00:00+00:00", "2026-12-31T16:00:00+00:00"),
        ("2026-12", "2026-11-30T16:00:00+00:00", "2026-12-31T16:00:00+00:00"),
        ("2026-11-24", "2026-11-23T16:00:00+00:00", "2026-11-24T16:00:00+00:00"),
        ("2026-11-24T08:00:00.5+08:00", "2026-11-24T00:00:00+00:00", "2026-11-24T00:00:01+00:00"),
    ],
)
def test_a_date_covers_what_it_can_mean(text: str, start: str, end: str) -> None:
    found = span(text, CHINA)
    assert found is not None
    assert (found.start.isoformat(), found.end.isoformat()) == (start, end)
