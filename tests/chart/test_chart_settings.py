"""The environment of every pod, read by the very settings classes of the services."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from services.kernel.settings import BadSettings, load, names
from services.kernel.subjects import SERVICES
from tests.chart.render import CASES, Document, case, component, render, workloads

OUTSIDE = {
    "SSL_CERT_FILE",
    "PGSSLMODE",
    "PGSSLROOTCERT",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ALLOW_HTTP",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "OMP_NUM_THREADS",
}
"""Variables that libraries read, not the settings classes."""


def pod(documents: list[Document], service: str) -> Document:
    found = {component(template): template for template in workloads(documents).values()}
    return dict(found[service]["spec"])


def environment(spec: Document) -> dict[str, str]:
    """Return a pod's variables; one from a Secret stands for its content."""
    (container,) = spec["containers"]
    return {entry["name"]: entry.get("value", "from-a-secret") for entry in container["env"]}


def settings(documents: list[Document], service: str) -> Any:
    cls = importlib.import_module(f"services.{service}.settings").Settings
    return load(cls, service, environment(pod(documents, service)))


@pytest.mark.requirement("DX-OPS-04")
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", CASES)
def test_every_variable_is_one_the_service_reads(name: str, service: str) -> None:
    cls = importlib.import_module(f"services.{service}.settings").Settings
    read = {variable for field in cls.__slots__ for variable in names(service, field)}
    read |= {
        v for base in cls.__mro__ for f in getattr(base, "__slots__", ()) for v in names(service, f)
    }

    assert set(environment(pod(case(name), service))) - read - OUTSIDE == set()


@pytest.mark.requirement("DX-OPS-04")
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", CASES)
def test_no_variable_is_set_twice(name: str, service: str) -> None:
    (container,) = pod(case(name), service)["containers"]
    variables = [entry["name"] for entry in container["env"]]

    assert len(variables) == len(set(variables))


@pytest.mark.requirement("DX-OPS-04")
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", CASES)
def test_a_service_starts_with_what_it_is_given(name: str, service: str) -> None:
    """Every required setting is there, and every text is of its type."""
    given = settings(case(name), service)

    assert given.grpc_listen == "0.0.0.0:50051"
    assert given.tls_dir == Path("/etc/dxmesh/tls")
    assert given.nats_seed_file
    opened = {z for z in ("identity", "analysis") if getattr(given, f"master_key_{z}_file", None)}
    assert opened, "a service without a key could store nothing"
    for zone in opened:
        assert not getattr(given, f"blobs_{zone}_url").startswith("memory:")
    if hasattr(given, "database_url"):
        assert given.database_url == "from-a-secret"


@pytest.mark.requirement("DX-OPS-04")
@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", CASES)
def test_every_path_is_mounted(name: str, service: str) -> None:
    spec = pod(case(name), service)
    (container,) = spec["containers"]
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    given = settings(case(name), service)
    slots = {s for base in type(given).__mro__ for s in getattr(base, "__slots__", ())}
    paths = [value for s in slots if isinstance(value := getattr(given, s), Path)]
    variables = environment(spec)
    paths += [Path(variables[v]) for v in ("SSL_CERT_FILE", "PGSSLROOTCERT") if v in variables]
    paths += [
        Path(value.removeprefix("file://"))
        for value in variables.values()
        if value.startswith("file:")
    ]

    assert [p for p in paths if not any(p.is_relative_to(mount) for mount in mounts)] == []


@pytest.mark.requirement("DX-OPS-04")
def test_a_hospital_s_own_settings_arrive_with_their_digits() -> None:
    gateway = settings(case("everything"), "gateway")

    assert gateway.upload_bytes_max == 8589934592
    assert gateway.session_s == 3600.5
    assert settings(case("everything"), "labs").concurrency == 8


@pytest.mark.requirement("DX-OPS-04")
def test_a_value_that_is_no_setting_would_be_seen() -> None:
    """The check above can fail: a class does not know a variable of another service."""
    variables = environment(pod(case("default"), "labs"))

    with pytest.raises(BadSettings, match="DX_GATEWAY_ACCOUNTS_FILE"):
        load(importlib.import_module("services.gateway.settings").Settings, "gateway", variables)


@pytest.mark.requirement("DX-OPS-04")
def test_the_address_clients_use_is_that_of_the_ingress() -> None:
    assert settings(case("default"), "gateway").public_url == ""
    assert settings(case("example"), "gateway").public_url == "https://dxmesh.hospital.example"


@pytest.mark.requirement("DX-OPS-04")
def test_without_triton_imaging_runs_the_models_itself() -> None:
    with_triton, without = (
        settings(case("default"), "imaging"),
        settings(case("example"), "imaging"),
    )

    assert with_triton.triton_url == "dxmesh-triton:8001"
    assert not with_triton.triton_shared_memory
    assert not without.triton_url
    assert with_triton.model_repository == without.model_repository == Path("/models")


@pytest.mark.requirement("DX-OPS-04")
def test_a_stopping_pod_has_longer_than_its_drain() -> None:
    for service in SERVICES:
        grace = pod(case("default"), service)["terminationGracePeriodSeconds"]
        assert grace > settings(case("default"), service).drain_s + 5, service

    values = {"services": {"labs": {"drainSeconds": 300}}}
    assert pod(render(values), "labs")["terminationGracePeriodSeconds"] > 300
