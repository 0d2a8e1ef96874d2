"""`@medplum/core` reads our profiles and finds what we emit to conform, and what does not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from services.gateway.profiles.definitions import profiles, url_of
from services.kernel import fhir
from tests.servers.medplum import profile_validator

SAMPLES = "tests/reporting/data/report_bundle_{}.json"


@pytest.mark.requirement("DX-PRO-04")
def test_a_validator_that_is_not_ours_agrees(request: pytest.FixtureRequest) -> None:
    validate = profile_validator(request.config.cache.mkdir("medplum"))
    resources: list[dict[str, Any]] = []
    for language in ("en", "zh"):
        path = request.config.rootpath / SAMPLES.format(language)
        entries = fhir.parse(path.read_bytes())["entry"]
        resources += [e["resource"] for e in entries if "profile" in e["resource"].get("meta", {})]
    final = copy.deepcopy(resources[0]) | {"status": "final"}
    url = url_of("finding")
    finding = copy.deepcopy(next(r for r in resources if url in r["meta"]["profile"]))
    finding["component"] = finding["component"][:4]  # its certainty is gone
    nowhere = copy.deepcopy(next(r for r in resources if url in r["meta"]["profile"]))
    nowhere["extension"] = nowhere["extension"][1:]
    found = validate(list(profiles().values()), [*resources, final, finding, nowhere])
    assert found[:-3] == [[]] * len(resources)
    broken = [issue[0]["expression"] for issue in found[-3:]]
    assert broken == [
        ["DiagnosticReport.status"], ["Observation.component"], ["Observation.extension"]
    ]  # fmt: skip
