"""The composed Bundle passes a validator that is not ours: `@medplum/core`, through node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.kernel import fhir
from services.reporting.compose import compose
from services.reporting.draft import Draft
from services.reporting.words import Language

HERE = Path(__file__).parent / "medplum"
INSTALL_LIMIT_S = 180


@pytest.fixture(scope="module")
def validator(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return a function that gives Medplum's issues; the packages are kept in pytest's cache."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed")
    given = os.environ.get("DX_MEDPLUM_DIR")
    folder = Path(given) if given else request.config.cache.mkdir("medplum")
    for name in ("package.json", "validate.mjs"):
        shutil.copy(HERE / name, folder / name)
    if not (folder / "node_modules" / "@medplum" / "definitions").is_dir():
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        try:
            subprocess.run(install, cwd=folder, check=True, timeout=INSTALL_LIMIT_S)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"@medplum/core cannot be installed: {type(error).__name__}")

    def validate(bundle: dict[str, Any]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [node, "validate.mjs"],
            cwd=folder,
            input=fhir.dump(bundle),
            capture_output=True,
            check=True,
            timeout=60,
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return validate


@pytest.mark.requirement("DX-REP-01")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_medplum_finds_nothing_wrong(
    validator: Callable[[dict[str, Any]], list[dict[str, Any]]],
    draft: Callable[[Language], Draft],
    language: Language,
) -> None:
    assert validator(compose(draft(language)).bundle) == []


def test_medplum_finds_an_illegal_reference_target(
    validator: Callable[[dict[str, Any]], list[dict[str, Any]]],
    draft: Callable[[Language], Draft],
) -> None:
    bundle = compose(draft("en")).bundle
    observation = bundle["entry"][1]["resource"]
    observation["performer"] = [observation["device"]]  # R4 allows no Device here
    [issue] = validator(bundle)
    assert issue["expression"] == ["Bundle.entry[1].resource.performer[0]"]
