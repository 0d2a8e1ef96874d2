"""When a version is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.draft import Outcome
from services.reporting.join import Decision, State, next_version

DUE = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
BEFORE, AFTER = DUE - timedelta(minutes=1), DUE + timedelta(minutes=1)
DONE, DECLINED, FAILED = Outcome.COMPLETED, Outcome.DECLINED, Outcome.FAILED


def state(**changes: object) -> State:
    fields: dict[str, object] = {"expected": ["a", "b"], "endings": {}, "due": DUE}
    return State(**fields | changes)  # type: ignore[arg-type]  # a test names only what it changes


@pytest.mark.requirement("DX-REP-02")
def test_it_waits_for_every_part() -> None:
    assert next_version(state(endings={"a": [DONE]}), BEFORE) is None
    both = state(endings={"a": [DONE], "b": [FAILED]})
    assert next_version(both, BEFORE) == Decision(1, {"a": DONE, "b": FAILED})


@pytest.mark.requirement("DX-REP-03")
def test_at_the_due_time_it_goes_out_with_what_there_is() -> None:
    assert next_version(state(endings={"a": [DONE]}), DUE) == Decision(1, {"a": DONE})
    assert next_version(state(), DUE) == Decision(1, {})


@pytest.mark.requirement("DX-REP-04")
def test_a_late_part_makes_the_next_version() -> None:
    late = state(endings={"a": [DONE], "b": [DONE]}, versions=[{"a": DONE}])
    assert next_version(late, AFTER) == Decision(2, {"a": DONE, "b": DONE})


def test_a_repeat_changes_nothing() -> None:
    same = state(endings={"a": [DONE, DONE], "b": [DONE]}, versions=[{"a": DONE, "b": DONE}])
    assert next_version(same, AFTER) is None


def test_a_failed_part_that_completes_on_retry_counts() -> None:
    retried = state(endings={"a": [FAILED, DONE], "b": [DECLINED]}, versions=[{"a": FAILED}])
    assert next_version(retried, AFTER) == Decision(2, {"a": DONE, "b": DECLINED})


def test_a_failure_announced_after_the_result_does_not_count() -> None:
    late_failure = state(endings={"a": [DONE, FAILED]}, expected=["a"], versions=[{"a": DONE}])
    assert next_version(late_failure, AFTER) is None


def test_nothing_is_composed_before_the_parts_are_known_or_after_a_stop() -> None:
    assert next_version(state(expected=None, endings={"a": [DONE]}), AFTER) is None
    assert next_version(state(stopped=True), AFTER) is None


def test_a_case_without_parts_is_reported_at_once() -> None:
    assert next_version(state(expected=[]), BEFORE) == Decision(1, {})


def test_a_part_nobody_expects_is_left_out() -> None:
    stray = state(endings={"a": [DONE], "b": [DONE], "x": [DONE]})
    assert next_version(stray, BEFORE) == Decision(1, {"a": DONE, "b": DONE})


EVENTS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([DONE, DECLINED, FAILED])),
    max_size=12,
)


@given(EVENTS, st.lists(st.booleans(), min_size=12, max_size=12))
def test_in_whatever_order_events_come_the_last_version_holds_all(
    events: list[tuple[str, Outcome]], late: list[bool]
) -> None:
    """Duplicates, retries and a due time anywhere end in one version with the final state."""
    endings: dict[str, list[Outcome]] = {}
    versions: list[dict[str, Outcome]] = []
    for (part, outcome), is_late in zip(events, late, strict=False):
        endings.setdefault(part, []).append(outcome)
        now = AFTER if is_late else BEFORE
        known = state(expected=["a", "b", "c"], endings=endings, versions=versions)
        if decision := next_version(known, now):
            assert decision.version == len(versions) + 1
            versions.append(dict(decision.included))
            again = state(expected=["a", "b", "c"], endings=endings, versions=versions)
            assert next_version(again, now) is None
    last = next_version(state(expected=["a", "b", "c"], endings=endings, versions=versions), AFTER)
    final = dict(last.included) if last else versions[-1]
    assert set(final) == set(endings)
    assert all(final[part] is DONE for part in endings if DONE in endings[part])
