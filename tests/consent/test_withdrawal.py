"""What was given before a withdrawal stays ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.consent.policy import ConsentVersion, Decision, active, decide
from services.consent.provisions import Question

OURS = "urn:dxmesh:demo|DXMESH-ANALYSIS"


REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


CHINA = timezone(timedelta(hours=8))


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


RECORDED = datetime(2026, 1, 2, tzinfo=UTC)


def purpose(*codes: str) -> list[dict[str, str]]:
    return [
        {"system": "urn:dxmesh:purpose" if c == "MODELTRAIN" else REASON, "code": c} for c in codes
    ]


def consent(**changes: Any) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "dateTime": "2026-01-01T08:00:00Z",
        "policyRule": {"coding": [{"system": ACT_CODE, "code": "OPTIN"}]},
        "provision": {"type": "permit", "purpose": purpose("TREAT")},
    }
    return {k: v for k, v in (resource | changes).items() if v is not None}


def version(
    resource: dict[str, Any],
    *,
    key: str = "a",
    number: int = 1,
    recorded_at: datetime = RECORDED,
    ends_all: bool = False,
) -> ConsentVersion:
    return ConsentVersion(key, number, recorded_at, resource, ends_all)


def ask(
    *versions: ConsentVersion, why: str = "TREAT", to: str = OURS, at: datetime = NOW
) -> Decision:
    return decide(versions, Question(why, to, at), CHINA)


@pytest.mark.requirement("DX-CON-05")
def test_withdrawal_beats_an_older_consent_that_is_submitted_again() -> None:
    given, withdrawn = consent(), consent(status="inactive")
    march, april = RECORDED + timedelta(days=60), RECORDED + timedelta(days=90)
    again = consent(note="the same consent, exported by another program")
    history = [
        version(given),
        version(withdrawn, number=2, recorded_at=march),
        version(again, number=3, recorded_at=april),
    ]
    assert ask(*history) == Decision(False, "WITHDRAWN", "a/2")
    anew = version(
        consent(dateTime=april.isoformat()), number=4, recorded_at=april + timedelta(days=1)
    )
    assert ask(*history, anew) == Decision(True, "PERMITTED", "a/4")
    assert active([*history, anew], CHINA) == [anew]


@pytest.mark.requirement("DX-CON-05")
def test_withdrawing_everything_covers_consents_not_seen_before() -> None:
    march = RECORDED + timedelta(days=60)
    ended = version(consent(status="inactive"), recorded_at=march, ends_all=True)
    late_copy = version(consent(), key="b", recorded_at=march + timedelta(days=9))
    assert ask(ended, late_copy).reason == "WITHDRAWN"
    undated = version(consent(dateTime=None), key="c", recorded_at=march + timedelta(days=9))
    assert not ask(ended, undated).permitted


@pytest.mark.requirement("DX-CON-05")
def test_an_old_copy_does_not_replace_a_newer_consent() -> None:
    wide = consent(provision={"type": "permit", "purpose": purpose("TREAT", "MODELTRAIN")})
    narrow = consent(dateTime="2026-06-01T08:00:00Z")
    history = [
        version(narrow, number=1, recorded_at=datetime(2026, 6, 2, tzinfo=UTC)),
        version(wide, number=2, recorded_at=datetime(2026, 7, 1, tzinfo=UTC)),
    ]
    assert not ask(*history, why="MODELTRAIN").permitted


@pytest.mark.requirement("DX-CON-05")
def test_the_last_given_consent_decides_and_denial_wins_a_tie() -> None:
    denial = consent(dateTime="2026-02-01T00:00:00Z", provision={"type": "deny"})
    assert ask(version(consent()), version(denial, key="b")).reason == "DENIED"
    later = consent(dateTime="2026-03-01T00:00:00Z")
    after = datetime(2026, 4, 1, tzinfo=UTC)
    assert ask(
        version(denial, key="b", recorded_at=after), version(later, key="c", recorded_at=after)
    ).permitted
    same_time = consent(provision={"type": "deny"})
    assert not ask(version(consent()), version(same_time, key="b")).permitted


WHEN = st.datetimes(datetime(2020, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC))


@pytest.mark.requirement("DX-CON-05")
@given(st.lists(st.tuples(st.sampled_from("ab"), WHEN, WHEN), max_size=6), WHEN)
def test_after_a_withdrawal_only_a_later_consent_permits(
    given_and_recorded: list[tuple[str, datetime, datetime]], withdrawn_at: datetime
) -> None:
    versions = [
        version(consent(dateTime=signed.isoformat()), key=key, number=n, recorded_at=recorded)
        for n, (key, signed, recorded) in enumerate(given_and_recorded, 1)
    ]
    end = version(
        consent(status="inactive"), key="w", recorded_at=withdrawn_at, ends_all=True, number=99
    )
    permitted = ask(end, *versions).permitted
    assert permitted == any(min(s, r) > withdrawn_at for _, s, r in given_and_recorded)
