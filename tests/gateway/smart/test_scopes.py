"""SMART scopes: what is read, what is refused, and what rights they amount to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.access import scopes
from services.gateway.access.principal import RESOURCES, Action, Principal, Role, require
from services.gateway.access.rights import AUDITING, EVERYTHING, PRACTISING, Permission, Rights
from services.kernel.errors import Forbidden

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"


def granted(text: str, role: Rights = PRACTISING, patient: str = "p-1") -> Rights:
    return scopes.rights(scopes.parse(text).resources, role, patient)


@pytest.mark.requirement("DX-SMT-05")
@pytest.mark.parametrize(
    ("text", "kind", "letters"),
    [
        ("patient/Observation.rs", "Observation", "rs"),
        ("user/*.cruds", "*", "cruds"),
        ("system/Patient.s", "Patient", "s"),
        ("patient/Observation.read", "Observation", "rs"),
        ("user/Observation.write", "Observation", "cud"),
        ("patient/*.*", "*", "cruds"),
    ],
)
def test_scopes_of_both_versions_are_read(text: str, kind: str, letters: str) -> None:
    scope = scopes.parse_scope(text)
    assert scope and (scope.kind, scope.letters) == (kind, frozenset(letters))


@pytest.mark.requirement("DX-SMT-05")
@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation.", "patient/Observation.sr", "patient/Observation.rr", "patient/.rs",
        "patient/Nothing.rs", "root/Observation.rs", "patient/Observation.x", "Observation.rs",
        "patient/Observation.read?category=a", "patient/*.rs?category=a",
        "patient/Observation.rs?", "patient/Observation.rs?category", "patient/Observation.rs?=a",
        "patient/Observation.rs?_count=5", "patient/Observation.rs?_has:Group:member:_id=1",
        "patient/Observation.rs?subject.name=a", "patient/Observation.rs?category=",
        "patient/Observation.rs?nonsense=1",
        "patient/Observation.rs?date=not-a-date", "patient/Patient.rs?category=a",
        "patient/Observation.rs?" + "a" * 600, "patient/observation.rs", "patient/Observation.RS",
    ],
)  # fmt: skip
def test_what_is_not_a_scope_grants_nothing(text: str) -> None:
    assert scopes.parse(text).resources == ()


@pytest.mark.requirement("DX-SMT-05")
def test_conditions_are_kept_and_decoded() -> None:
    for spelled in (LAB, LAB.replace("|", "%7C").replace(":", "%3A")):
        found = scopes.parse_scope(f"patient/Observation.rs?category={spelled}&status=final")
        assert found and found.criteria == (("category", LAB), ("status", "final"))


@pytest.mark.requirement("DX-SMT-06")
def test_patient_scopes_mean_the_patient_in_context() -> None:
    rights = granted(f"patient/Observation.rs?category={LAB} patient/Condition.rs")
    (found,) = rights.covering("Observation", "r")
    assert found == Permission("Observation", frozenset("rs"), "p-1", (("category", LAB),))
    assert [p.patient for p in rights.covering("Condition", "s")] == ["p-1"]
    with pytest.raises(Forbidden):
        rights.covering("Patient", "r")
    assert granted("patient/*.rs", patient="").permissions == ()


@pytest.mark.requirement("DX-SMT-06")
def test_patient_scopes_show_what_belongs_to_nobody_for_reading_alone() -> None:
    rights = granted("patient/*.cruds")
    assert any(
        p.kind == "Practitioner" and not p.patient for p in rights.covering("Practitioner", "r")
    )
    for letter in "cud":
        assert all(p.patient for p in rights.permissions if letter in p.letters)
    (device,) = [p for p in rights.permissions if p.kind == "Device"]
    assert device.criteria == (("patient:missing", "true"),)
    named = granted("patient/Observation.rs")
    assert {p.kind for p in named.permissions} == {"Observation"}


@pytest.mark.requirement("DX-SMT-06")
def test_user_scopes_are_never_more_than_the_role() -> None:
    rights = granted("user/*.cruds user/AuditEvent.rs")
    rights.covering("Patient", "r")
    rights.covering("Observation", "c")
    for kind, letter in (("Patient", "u"), ("Observation", "d"), ("AuditEvent", "r")):
        with pytest.raises(Forbidden):
            rights.covering(kind, letter)
    assert granted("user/*.cruds", EVERYTHING).covering("Patient", "d")
    assert granted("system/*.rs system/AuditEvent.rs", AUDITING).permissions == AUDITING.permissions
    assert (
        granted("user/*.rs").restricted is False and granted("system/*.rs", EVERYTHING).restricted
    )


@pytest.mark.requirement("DX-SMT-05")
def test_a_scope_that_is_cut_down_says_so_and_one_that_fits_keeps_its_spelling() -> None:
    asked = scopes.parse(
        "patient/Patient.read user/Patient.cruds user/AuditEvent.rs user/Observation.cu"
    )
    kept = [scope.text for scope in scopes.cap(asked.resources, PRACTISING)]
    assert kept == ["patient/Patient.read", "user/Patient.rs", "user/Observation.cu"]
    registered = Rights(
        (Permission("Observation", frozenset("rs"), criteria=(("category", LAB),)),)
    )
    (cut,) = scopes.cap(scopes.parse("patient/*.rs").resources, registered)
    assert cut.text == f"patient/Observation.rs?category={LAB}"
    assert scopes.parse_scope(cut.text) == cut


KINDS = st.sampled_from(["*", "Patient", "Observation", "AuditEvent"])
PERMISSIONS = st.builds(
    Permission,
    KINDS,
    st.frozensets(st.sampled_from("cruds"), min_size=1),
    st.sampled_from(["", "p-1", "p-2"]),
)
RIGHTS = st.builds(Rights, st.lists(PERMISSIONS, max_size=4).map(tuple), st.booleans())


@pytest.mark.requirement("DX-SMT-06")
@given(RIGHTS, RIGHTS)
def test_what_two_rights_share_is_allowed_by_both(one: Rights, other: Rights) -> None:
    both = one.within(other)
    for kind in ("Patient", "Observation", "AuditEvent"):
        for letter in "cruds":
            for patient in ("p-1", "p-2", "p-3"):
                sides = [_allows(rights, kind, letter, patient) for rights in (one, other)]
                assert _allows(both, kind, letter, patient) == all(sides)


def _allows(rights: Rights, kind: str, letter: str, patient: str) -> bool:
    return any(p.covers(kind, letter) and p.patient in ("", patient) for p in rights.permissions)


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for scope in scopes.parse("patient/Observation.rs?" + text).resources:
        assert scope.letters


@pytest.mark.requirement("DX-SMT-06")
def test_an_app_uses_fhir_and_nothing_else() -> None:
    scope = granted("user/*.cruds")
    app = Principal("north", "reader", Role.PHYSICIAN, scopes=scope, client_id="app-1")
    require(app, Action.READ)
    require(app, Action.WRITE)
    for action in (Action.REVIEW, Action.SUBMIT, Action.OPERATE, Action.AUDIT, Action.LAUNCH):
        with pytest.raises(Forbidden):
            require(app, action)
    backend = Principal(
        "north", "b", Role.EHR, scopes=granted("system/*.rs", EVERYTHING), client_id="b"
    )
    for action in (Action.SUBMIT, Action.UPLOAD, Action.WRITE_CONSENT, Action.LAUNCH):
        with pytest.raises(Forbidden):
            require(backend, action)
    submits = granted("system/Bundle.c", RESOURCES[Role.EHR])
    require(Principal("north", "b", Role.EHR, scopes=submits, client_id="b"), Action.SUBMIT)
