"""What an app may see and acknowledge of critical results, by its scopes and its patient."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

JSON = "application/fhir+json"
NIGHT = {"name": "reader", "valueReference": {"reference": "Practitioner/night"}}


async def acknowledge(smart: Any, token: str, notice: Any, *parameters: Any) -> Any:
    return await smart.outside.post(
        f"/fhir/Communication/{notice['id']}/$acknowledge",
        headers={"Authorization": f"Bearer {token}", "Content-Type": JSON},
        content=orjson.dumps({"resourceType": "Parameters", "parameter": list(parameters)}),
    )


async def token_for(smart: Any, scope: str, patient: str) -> str:
    asked = f"launch/patient {scope}"
    made = await smart.tokens(await smart.app(asked), asked, patient=patient)
    return str(made["access_token"])


@pytest.mark.requirement("DX-CRI-16")
@pytest.mark.parametrize(
    ("scope", "patient", "read", "noted"),
    [
        ("patient/Communication.rus", "p-1", 200, 200),
        ("patient/Communication.rs", "p-1", 200, 403),
        ("patient/Communication.rus", "p-2", 404, 404),
        ("patient/Observation.rus", "p-1", 403, 404),
    ],
)
async def test_an_app_reads_and_acknowledges_what_its_scopes_and_its_patient_allow(
    smart: Any, setting: Any, telling: Any, scope: str, patient: str, read: int, noted: int
) -> None:
    (told,) = await telling.tell(smart.world, setting)
    token = await token_for(smart, scope, patient)
    assert (await smart.get(f"/fhir/Communication/{told['id']}", token)).status_code == read
    assert (await acknowledge(smart, token, told)).status_code == noted
    (told,) = await telling.communications(smart.world)
    assert (told["status"] == "completed") == (noted == 200)


@pytest.mark.requirement("DX-CRI-16")
async def test_an_app_says_for_nobody_else_that_they_read(
    smart: Any, setting: Any, telling: Any
) -> None:
    (told,) = await telling.tell(smart.world, setting)
    token = await token_for(smart, "patient/Communication.rus", "p-1")
    assert (await acknowledge(smart, token, told, NIGHT)).status_code == 400
    answer = await acknowledge(smart, token, told)
    assert answer.status_code == 200
    assert answer.json()["recipient"][-1]["display"] == "Dr reader (fictional)"
