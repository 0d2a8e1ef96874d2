"""`@medplum/core`, a validator of FHIR R4 that is not ours, through node."""

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

HERE = Path(__file__).parent / "medplum"
INSTALL_LIMIT_S = 180

Validator = Callable[[dict[str, Any]], list[dict[str, Any]]]
"""Returns Medplum's issues with a Bundle."""


def validator(cache: Path) -> Validator:
    """Return the validator; its packages are installed into `cache` once.

    Skips the test where node or the packages cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed")
    given = os.environ.get("DX_MEDPLUM_DIR")
    folder = Path(given) if given else cache
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
