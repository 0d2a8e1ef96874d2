"""The official examples of R4: each is stored and comes back equal, decimals digit for digit."""

from __future__ import annotations

import asyncio
import io
import tarfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.gateway.fhir import validation
from services.kernel import fhir

ARCHIVE = Path(__file__).parents[4] / "shared" / "data" / "fhir" / "r4_examples.tar.xz"
MISDIRECTED = {
    "DeviceMetric-example.json",
    "DeviceUseStatement-example.json",
    "MedicationRequest-medrx0301.json",
    "Observation-clinical-gender.json",
}
"""Official examples with a reference to a type that R4 does not allow there."""


@pytest.fixture(scope="module")
def examples() -> dict[str, bytes]:
    if not ARCHIVE.is_file():
        pytest.skip(f"the official examples are not at {ARCHIVE.parent.name}/")
    with tarfile.open(ARCHIVE) as archive:
        return {
            Path(member.name).name: io.BytesIO(file.read()).getvalue()
            for member in archive
            if member.name.endswith(".json") and (file := archive.extractfile(member))
        }


def written(value: Any) -> Any:
    """Return a JSON value with each number as it was written."""
    if isinstance(value, dict):
        return {name: written(item) for name, item in value.items()}
    if isinstance(value, list):
        return [written(item) for item in value]
    return ("number", str(getattr(value, "written", value))) if _is_number(value) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def without_meta(content: bytes) -> Any:
    value = written(fhir.parse(content))
    value.get("meta", {}).pop("versionId", None)
    value.get("meta", {}).pop("lastUpdated", None)
    if not value.get("meta", True):
        del value["meta"]
    value.pop("id", None)
    return value


@pytest.mark.requirement("DX-INT-15")
async def test_every_example_is_stored_and_comes_back(
    server: Any, examples: dict[str, bytes]
) -> None:
    turns = asyncio.Semaphore(32)  # those that wait share a commit of the audit trail

    async def there_and_back(name: str, content: bytes) -> None:
        async with turns:
            kind = fhir.parse(content)["resourceType"]
            made = await server("POST", kind, content, prefer="return=minimal")
            assert made.status_code == 201, (name, made.text)
            path = made.headers["location"].removeprefix("http://gateway/fhir/")
            read = await server("GET", path, accept="application/fhir+json")
            assert without_meta(read.content) == without_meta(content), name

    # The server alone writes AuditEvents, and serves a Subscription only when it can.
    stored = {n: c for n, c in examples.items() if not n.startswith(("AuditEvent", "Subscription"))}
    assert len(stored) > 680
    await asyncio.gather(*(there_and_back(name, content) for name, content in stored.items()))


@pytest.mark.requirement("DX-INT-15")
def test_what_validation_says_of_the_examples(examples: dict[str, bytes]) -> None:
    misdirected = set()
    for name, content in examples.items():
        resource = fhir.parse(content)
        assert validation.problems(resource) == [], name
        if validation.misdirected(resource):
            misdirected.add(name)
    assert misdirected == MISDIRECTED
