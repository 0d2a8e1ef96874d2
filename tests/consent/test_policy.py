"""Which consent decides, and what it says."""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from services.consent.policy import ConsentVersion, Decision, decide, recipients
from services.consent.provisions import Question

SAMPLES = Path(__file__).parents[2] / "samples"


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


def actor(value: str, system: str = "urn:dxmesh:demo") -> dict[str, Any]:
    return {
        "role": {"coding": [{"code": "IRCP"}]},
        "reference": {"identifier": {"system": system, "value": value}},
    }


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


@pytest.mark.requirement("DX-CON-01")
def test_no_consent_means_no() -> None:
    assert ask() == Decision(False, "NO_CONSENT", "")


@pytest.mark.requirement("DX-CON-01")
def test_sample_consent_permits_treatment_by_its_recipient_and_nothing_else() -> None:
    sample = version(json.loads((SAMPLES / "consent.json").read_text()))
    assert ask(sample) == Decision(True, "PERMITTED", "a/1")
    assert ask(sample, why="MODELTRAIN") == Decision(False, "DENIED", "a/1")
    assert ask(sample, why="HRESCH").reason == "DENIED"
    assert ask(sample, to="urn:x|SOMEBODY").reason == "RECIPIENT_NOT_PERMITTED"
    assert ask(sample, to="").reason == "RECIPIENT_NOT_PERMITTED"
    assert ask(sample, at=datetime(2023, 12, 31, tzinfo=UTC)).reason == "NOT_YET_VALID"
    assert ask(sample, at=datetime(2100, 1, 1, tzinfo=UTC)).reason == "EXPIRED"
    assert recipients([sample]) == {"", OURS}


@pytest.mark.requirement("DX-CON-02")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "draft"}, "NOT_ACTIVE"),
        ({"status": "proposed"}, "NOT_ACTIVE"),
        ({"status": "inactive"}, "WITHDRAWN"),
        ({"status": "rejected"}, "REJECTED"),
        ({"status": "entered-in-error"}, "ENTERED_IN_ERROR"),
        ({"scope": {"coding": [{"code": "treatment"}]}}, "SCOPE_NOT_PRIVACY"),
        ({"provision": {"type": "deny", "purpose": purpose("TREAT")}}, "DENIED"),
        ({"provision": {"type": "permit", "purpose": purpose("HRESCH")}}, "PURPOSE_NOT_PERMITTED"),
        ({"provision": {"type": "permit", "class": [{"code": "Media"}]}}, "PARTIAL_PERMISSION"),
        (
            {"provision": {"type": "permit", "action": [{"coding": [{"code": "disclose"}]}]}},
            "ACTION_NOT_PERMITTED",
        ),
        ({"policyRule": None, "provision": {"purpose": purpose("TREAT")}}, "POLICY_UNKNOWN"),
        ({"modifierExtension": [{"url": "urn:x"}]}, "MODIFIER_NOT_UNDERSTOOD"),
        ({"provision": {"type": "permit", "period": {"end": "soon"}}}, "PERIOD_UNREADABLE"),
        ({"provision": {"type": "permit", "provision": [{"purpose": []}]}}, "DENIED"),
    ],
)
def test_what_does_not_permit_says_why(changes: dict[str, Any], reason: str) -> None:
    assert ask(version(consent(**changes))) == Decision(False, reason, "a/1")


@pytest.mark.requirement("DX-CON-02")
def test_period_ends_with_its_last_day_where_it_was_written() -> None:
    lasting = version(consent(provision={"type": "permit", "period": {"end": "2026-11-24"}}))
    # 2026-11-24 ends in China at 16:00 UTC.
    assert ask(lasting, at=datetime(2026, 11, 24, 15, 59, tzinfo=UTC)).permitted
    assert ask(lasting, at=datetime(2026, 11, 24, 16, 0, tzinfo=UTC)).reason == "EXPIRED"


@pytest.mark.requirement("DX-CON-03")
def test_opt_in_without_a_type_permits_and_opt_out_denies() -> None:
    opt_out = {"coding": [{"system": ACT_CODE, "code": "OPTOUT"}]}
    assert ask(version(consent(provision={"period": {"start": "2025"}}))).permitted
    assert ask(version(consent(provision=None))).permitted
    assert ask(version(consent(policyRule=opt_out, provision=None))).reason == "DENIED"


@pytest.mark.requirement("DX-CON-03")
def test_nested_provisions_are_exceptions_to_their_parent() -> None:
    opt_out = consent(
        provision={
            "type": "deny",
            "provision": [
                {
                    "type": "permit",
                    "purpose": purpose("TREAT"),
                    "provision": [{"type": "deny", "actor": [actor("RIVAL")]}],
                }
            ],
        }
    )
    assert ask(version(opt_out)).permitted
    assert not ask(version(opt_out), to="urn:dxmesh:demo|RIVAL").permitted
    assert not ask(version(opt_out), to="").permitted
    assert not ask(version(opt_out), why="HRESCH").permitted


@pytest.mark.requirement("DX-CON-03")
def test_a_root_denial_of_one_recipient_leaves_the_opt_in_for_others() -> None:
    not_them = version(consent(provision={"type": "deny", "actor": [actor("RIVAL")]}))
    assert ask(not_them).permitted
    assert ask(not_them, to="urn:dxmesh:demo|RIVAL").reason == "DENIED"
    assert not ask(not_them, why="MODELTRAIN").permitted


@pytest.mark.requirement("DX-CON-03")
def test_opt_in_that_names_actors_without_a_type_is_ambiguous() -> None:
    """R4's examples `signature` and `notThem` are the same in form and opposite in meaning."""
    untyped = version(consent(provision={"actor": [actor("DXMESH-ANALYSIS")]}))
    assert ask(untyped).reason == "PROVISION_AMBIGUOUS"


@pytest.mark.requirement("DX-CON-03")
def test_opt_out_denies_outside_its_conditions_while_it_is_in_force() -> None:
    opt_out = {"coding": [{"system": ACT_CODE, "code": "OPTOUT"}]}
    root = {"actor": [actor("RIVAL")], "period": {"end": "2030"}}
    newer = version(
        consent(policyRule=opt_out, provision=root, dateTime="2026-02-01"),
        key="b",
        recorded_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert ask(newer, version(consent())).reason == "DENIED"
    assert ask(newer, version(consent()), at=datetime(2031, 1, 1, tzinfo=UTC)).permitted


@pytest.mark.requirement("DX-CON-03")
def test_actor_who_is_not_a_recipient_limits_which_data_is_meant() -> None:
    custodian = actor("CLINIC") | {"role": {"coding": [{"code": "CST"}]}}
    rule = {"actor": [custodian, actor("DXMESH-ANALYSIS")]}
    assert ask(version(consent(provision=rule | {"type": "permit"}))).reason == (
        "PARTIAL_PERMISSION"
    )
    assert ask(version(consent(provision={"type": "deny", "actor": [custodian]}))).reason == (
        "DENIED"
    )


@pytest.mark.requirement("DX-CON-03")
def test_permission_for_part_of_the_record_does_not_permit_all_of_it() -> None:
    nested = [{"type": "permit", "class": [{"code": "MedicationRequest"}]}]
    partly = consent(provision={"type": "permit", "provision": nested})
    assert ask(version(partly)).reason == "PARTIAL_PERMISSION"


@pytest.mark.requirement("DX-CON-04")
@pytest.mark.parametrize("why", ["HRESCH", "MODELTRAIN"])
def test_research_and_training_must_be_named(why: str) -> None:
    assert ask(version(consent(provision={"type": "permit"})), why=why).reason == (
        "PURPOSE_NOT_NAMED"
    )
    named = consent(provision={"type": "permit", "purpose": purpose(why)})
    assert ask(version(named), why=why).permitted


@pytest.mark.requirement("DX-CON-02")
def test_recipient_is_found_in_a_contained_organization_and_by_reference() -> None:
    inside = consent(
        contained=[
            {
                "resourceType": "Organization",
                "id": "org",
                "identifier": [{"system": "urn:dxmesh:demo", "value": "DXMESH-ANALYSIS"}],
            }
        ],
        provision={"type": "permit", "actor": [{"reference": {"reference": "#org"}}]},
    )
    assert ask(version(inside)).permitted
    literal = consent(
        provision={"type": "permit", "actor": [{"reference": {"reference": "Organization/9"}}]}
    )
    assert ask(version(literal), to="Organization/9").permitted
    assert not ask(version(literal), to="Organization/8").permitted


EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"


@pytest.mark.requirement("DX-CON-03")
@pytest.mark.skipif(not EXAMPLES.exists(), reason="the shared R4 examples are not here")
def test_official_examples_permit_only_what_they_say() -> None:
    """Of R4's examples only `notOrg`, an opt-in that names whom it refuses, covers others."""
    with tarfile.open(EXAMPLES) as archive:
        names = [name for name in archive.getnames() if "/Consent-" in name]
        files = [archive.extractfile(name) for name in names]
        resources = [json.load(file) for file in files if file]
    assert len(resources) >= 10
    in_smart_session = datetime(2016, 6, 23, 7, 10, tzinfo=UTC)
    permitted = {
        (resource["id"], why, to)
        for resource in resources
        for why in ("TREAT", "HRESCH", "MODELTRAIN")
        for to in (OURS, "Organization/f001", "")
        for at in (in_smart_session, NOW)
        if ask(version(resource, recorded_at=in_smart_session), why=why, to=to, at=at).permitted
    }
    assert permitted == {("consent-example-notOrg", "TREAT", OURS)}
