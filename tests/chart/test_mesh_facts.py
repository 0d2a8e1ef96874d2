"""`files/mesh.yaml` of the chart says of each service what its code says."""

from __future__ import annotations

import ast
import dataclasses
import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kernel.settings import IdentitySettings
from services.kernel.subjects import SERVICES
from tests.chart.render import CHART, ROOT

FACTS: dict[str, Any] = yaml.safe_load((CHART / "files" / "mesh.yaml").read_text())


def settings_class(service: str) -> Any:
    return importlib.import_module(f"services.{service}.settings").Settings


def fields(service: str) -> set[str]:
    return {field.name for field in dataclasses.fields(settings_class(service))}


def sources(service: str) -> list[ast.Module]:
    folder = ROOT / "services" / service
    return [ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))]


def callers(service: str) -> set[str]:
    """Return the services that `mesh.server.add(…, callers=…)` lets in."""
    (tree,) = (t for t in sources(service) if "server.add(" in ast.unparse(t))
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    (call,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("server.add")
    )
    given = next((k.value for k in call.keywords if k.arg == "callers"), None) or call.args[3]
    value = named[given.id] if isinstance(given, ast.Name) else given
    return set(ast.literal_eval(value))


@pytest.mark.requirement("DX-OPS-03")
def test_every_service_is_described() -> None:
    assert set(FACTS) == set(SERVICES)


@pytest.mark.requirement("DX-OPS-03")
@pytest.mark.parametrize("service", SERVICES)
def test_addresses_in_the_settings_are_the_calls(service: str) -> None:
    addresses = {name.removesuffix("_address") for name in fields(service) if "_address" in name}

    assert addresses == set(FACTS[service]["calls"]) | set(FACTS[service]["checks"])


@pytest.mark.requirement("DX-OPS-03")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_lets_in_those_who_call_it(service: str) -> None:
    calling = {name for name, fact in FACTS.items() if service in fact["calls"]}

    assert calling <= callers(service)


@pytest.mark.requirement("DX-OPS-03")
@pytest.mark.parametrize("service", SERVICES)
def test_the_database_is_where_the_settings_have_one(service: str) -> None:
    assert FACTS[service]["database"] == ("database_url" in fields(service))


@pytest.mark.requirement("DX-OPS-03")
@pytest.mark.parametrize("service", SERVICES)
def test_blobs_are_those_the_service_opens(service: str) -> None:
    called = {
        ast.unparse(node.func)
        for tree in sources(service)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    opened = [zone for zone in ("identity", "analysis") if f"blobs.open_{zone}" in called]

    assert FACTS[service]["blobs"] == opened


@pytest.mark.requirement("DX-OPS-03")
@pytest.mark.parametrize("service", SERVICES)
def test_the_zone_is_that_of_the_settings(service: str) -> None:
    identity = issubclass(settings_class(service), IdentitySettings)

    assert FACTS[service]["zone"] == ("identity" if identity else "analysis")


@pytest.mark.requirement("DX-OPS-03")
def test_no_analysis_service_calls_the_identity_zone() -> None:
    for service, fact in FACTS.items():
        if fact["zone"] == "analysis":
            reached = {FACTS[peer]["zone"] for peer in fact["calls"] + fact["checks"]}
            assert "identity" not in reached, service


def test_the_folder_holds_nothing_else() -> None:
    assert [path.name for path in Path(CHART / "files").iterdir()] == ["mesh.yaml"]
