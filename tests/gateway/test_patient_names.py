"""A name that came in parts (HL7 v2, CSV) is shown in the order of its language."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.fhir import submission
from services.gateway.smart.choices import patient_choice

NAMES = [
    ({"family": "欧阳", "given": ["雪梅"]}, "欧阳雪梅"),
    ({"family": "Li", "given": ["Ada", "May"]}, "Ada May Li"),
    ({"family": "Li"}, "Li"),
    ({"family": "王", "given": ["雪"], "text": "王雪（女）"}, "王雪（女）"),
]


@pytest.mark.requirement("DX-GW-20")
@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_worklist_and_chooser_write_a_name_alike(name: dict[str, Any], shown: str) -> None:
    patient = {"resourceType": "Patient", "id": "p", "name": [name]}
    assert submission.describe(patient)["name"] == shown
    assert patient_choice(patient).title == shown
