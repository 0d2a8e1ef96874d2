"""Vital signs, scales and examination beside the results: what goes to analysis, and what not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.anonymization import submission
from services.anonymization.known import NOTHING
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash

NUMBER = {"valueQuantity": {"value": 118, "unit": "mmHg"}}


def observation(category: str, code: str, **values: Any) -> dict[str, Any]:
    coding = {"system": "http://loinc.org", "code": code}
    return {
        "resourceType": "Observation",
        "id": f"{category}-{code}",
        "status": "final",
        "category": [{"coding": [{"code": category}]}],
        "code": {"coding": [coding]},
        "subject": {"reference": "Patient/p1", "display": "赵铁柱"},
        "effectiveDateTime": "2024-03-05T08:15:00+08:00",
        **values,
    }


PRESSURE = observation(
    "vital-signs",
    "85354-9",
    component=[
        {"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, **NUMBER}
        for code in ("8480-6", "8462-4")
    ],
)
SMOKER = {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct"}]}}
CASES = [
    (observation("vital-signs", "8867-4", **NUMBER), True),
    (PRESSURE, True),
    (observation("survey", "9269-2", valueInteger=14), True),
    (observation("exam", "8280-0", **NUMBER), True),
    (observation("social-history", "72166-2", **SMOKER), True),
    (observation("vital-signs", "8867-5", **NUMBER), False),  # no LOINC check digit
    (observation("exam", "8280-0", valueString="赵铁柱 腰围大"), False),
    (observation("social-history", "11341-5", **SMOKER), False),  # occupation
    (observation("imaging", "8867-4", **NUMBER), False),
    (observation("therapy", "8867-4", **NUMBER), False),
]


@pytest.mark.requirement("DX-ID-31")
@pytest.mark.parametrize(("resource", "goes"), CASES, ids=lambda each: str(each)[-40:])
def test_only_coded_numbers_and_answers_go_on(
    bundle: Callable[..., bytes], resource: dict[str, Any], goes: bool
) -> None:
    read = submission.read(bundle("", [resource]))
    pseudonyms = Pseudonyms(KeyedHash(b"k" * 32), "subject-1")
    document, references = submission.labs_part(read, NOTHING, pseudonyms, {"sex": "male"})
    assert bool(document) == goes
    if not goes:
        return
    (made,) = json.loads(document)["observations"]
    assert references == {"lab-1": f"Observation/{resource['id']}"}
    assert made["category"] and "赵铁柱" not in document.decode()
    assert made["effectiveDateTime"] != resource["effectiveDateTime"]
    assert len(made.get("component", ())) == len(resource.get("component", ()))
