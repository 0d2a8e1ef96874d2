"""Who is the same person: agreement is needed where ids are not believed, contradiction decides."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.hooks.person import agree, is_same


def patient(born: str = "1964-03-15", **identifiers: str) -> dict[str, Any]:
    listed = [{"system": f"urn:{name}", "value": value} for name, value in identifiers.items()]
    return {"resourceType": "Patient", "birthDate": born, "identifier": listed}


@pytest.mark.requirement("DX-CDS-04")
@pytest.mark.parametrize(
    ("asked", "by_id", "same"),
    [
        (None, True, True),
        (None, False, False),
        (patient(mrn="1"), False, True),
        (patient(mrn="1", other="9"), False, True),
        (patient(mrn="2"), False, False),
        (patient(mrn="2"), True, False),
        (patient(other="1"), True, True),
        (patient(other="1"), False, False),
        (patient("1964-03-16", mrn="1"), True, False),
        (patient("1964-03-16", mrn="1"), False, False),
        (patient("", mrn="1"), False, True),
        ({"resourceType": "Patient", "identifier": "x"}, False, False),
    ],
)
def test_one_contradiction_is_enough(asked: Any, by_id: bool, same: bool) -> None:
    assert is_same(patient(mrn="1"), asked, by_id=by_id) is same


def test_dates_of_birth_agree_as_far_as_they_are_known() -> None:
    assert agree("1964", "1964-03-15")
    assert agree(None, "1964-03-15")
    assert not agree("1964-03", "1964-04-15")
