"""`@medplum/core`, a validator of FHIR R4 that is not ours, through node."""

from __future__ import annotations

import fcntl
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
ProfileValidator = Callable[[list[dict[str, Any]], list[dict[str, Any]]], list[Any]]
"""Returns Medplum's issues with each resource under its profile: (profiles, resources)."""


def validator(cache: Path) -> Validator:
    """Return the validator of Bundles; see `installed`."""
    node, folder = installed(cache)
    return lambda bundle: list(_run(node, folder, "validate.mjs", bundle))


def profile_validator(cache: Path) -> ProfileValidator:
    """Return the validator under profiles; see `installed`."""
    node, folder = installed(cache)

    def validate(profiles: list[dict[str, Any]], resources: list[dict[str, Any]]) -> list[Any]:
        asked = {"profiles": profiles, "resources": resources}
        return list(_run(node, folder, "profiles.mjs", asked))

    return validate


def installed(cache: Path) -> tuple[str, Path]:
    """Return node, and the folder that holds the packages; they are installed there once.

    Skips the test where node or the packages cannot be had.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed")
    given = os.environ.get("DX_MEDPLUM_DIR")
    folder = Path(given) if given else cache
    with (folder / "lock").open("w") as lock:  # tests that run side by side share the folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "validate.mjs", "profiles.mjs"):
            shutil.copy(HERE / name, folder / name)
        _install(npm, folder)
    return node, folder


def _install(npm: str, folder: Path) -> None:
    if not (folder / "node_modules" / "@medplum" / "definitions").is_dir():
        install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        try:
            subprocess.run(install, cwd=folder, check=True, timeout=INSTALL_LIMIT_S)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"@medplum/core cannot be installed: {type(error).__name__}")


def _run(node: str, folder: Path, script: str, asked: dict[str, Any]) -> Any:
    done = subprocess.run(
        [node, script],
        cwd=folder,
        input=fhir.dump(asked),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)
