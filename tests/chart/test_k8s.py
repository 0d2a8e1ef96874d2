"""`deploy/k8s`: what `kubectl apply -k` makes, and how it meets the chart."""

from __future__ import annotations

import re
from pathlib import Path

import kubernetes_validate
import pytest

from services.cli.cluster import write_cluster_secrets
from services.kernel.subjects import SERVICES
from tests.chart.render import ROOT, Document, case, kustomize, of_kind, workloads

K8S = ROOT / "deploy" / "k8s"
VERSIONS = ("1.28", "1.33", "1.37")


def one(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = (d for d in of_kind(documents, kind) if d["metadata"]["name"] == name)
    return found


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return kustomize(K8S)


@pytest.mark.requirement("DX-OPS-09")
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_in_strict_mode(documents: list[Document], version: str) -> None:
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.requirement("DX-OPS-09")
def test_the_namespace_refuses_pods_that_are_not_restricted(documents: list[Document]) -> None:
    labels = one(documents, "Namespace", "dxmesh")["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [d for d in documents if d["kind"] != "Namespace"]
    assert {d["metadata"]["namespace"] for d in others} == {"dxmesh"}


@pytest.mark.requirement("DX-OPS-09")
def test_three_servers_on_volumes_that_outlive_them(documents: list[Document]) -> None:
    spec = one(documents, "StatefulSet", "nats")["spec"]
    routes = re.findall(r"nats-route://(nats-\d)", (K8S / "nats" / "nats.conf").read_text())

    assert routes == [f"nats-{number}" for number in range(spec["replicas"])]
    assert spec["replicas"] == 3
    assert [c["metadata"]["name"] for c in spec["volumeClaimTemplates"]] == ["data"]
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


@pytest.mark.requirement("DX-OPS-09")
def test_the_store_fits_its_volume_and_the_pod_waits_for_its_clients(
    documents: list[Document],
) -> None:
    spec = one(documents, "StatefulSet", "nats")["spec"]
    config = (K8S / "nats" / "nats.conf").read_text()
    store = int(re.findall(r"max_file_store: (\d+)G", config)[0])
    volume = spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    lame_duck = int(re.findall(r'lame_duck_duration: "(\d+)s"', config)[0])

    assert store < int(volume.removesuffix("Gi"))
    assert lame_duck < spec["template"]["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.requirement("DX-OPS-09")
def test_a_changed_configuration_restarts_the_servers(documents: list[Document]) -> None:
    """The ConfigMap's name carries a hash of its content, and the pods name it."""
    (config,) = of_kind(documents, "ConfigMap")
    volumes = workloads(documents)["nats"]["spec"]["volumes"]

    assert re.fullmatch(r"nats-config-[a-z0-9]{10}", config["metadata"]["name"])
    assert {"name": config["metadata"]["name"]} in [v.get("configMap") for v in volumes]


@pytest.mark.requirement("DX-OPS-10")
def test_the_written_secrets_are_those_the_pods_name(
    documents: list[Document], tmp_path: Path
) -> None:
    write_cluster_secrets(tmp_path / "bus")
    made = kustomize(tmp_path / "bus")
    for secret in made:
        kubernetes_validate.validate(secret, "1.31", strict=True)
    keys = {secret["metadata"]["name"]: set(secret["data"]) for secret in made}

    seeds = {
        volume["secret"]["secretName"]
        for template in workloads(case("default")).values()
        for volume in template["spec"]["volumes"]
        if volume["name"] == "nats"
    }
    assert len(seeds) == len(SERVICES)
    assert keys == {name: {"seed"} for name in seeds} | {"nats-auth": {"auth.conf"}}
    named = [
        v["secret"]["secretName"]
        for v in workloads(documents)["nats"]["spec"]["volumes"]
        if "secret" in v
    ]
    assert set(named) == {"nats-auth", "nats-tls"}


@pytest.mark.requirement("DX-OPS-10")
def test_the_certificate_of_nats_names_what_clients_and_routes_connect_to() -> None:
    made = kustomize(K8S / "cert-manager")
    certificate = one(made, "Certificate", "nats")["spec"]
    issuers = {d["metadata"]["name"] for d in of_kind(made, "Issuer")}

    assert {"nats", *(f"nats-{n}.nats-headless" for n in range(3))} <= set(certificate["dnsNames"])
    assert certificate["secretName"] == "nats-tls"
    assert {"server auth", "client auth"} <= set(certificate["usages"])
    assert {d["spec"]["issuerRef"]["name"] for d in of_kind(made, "Certificate")} <= issuers


@pytest.mark.requirement("DX-OPS-09")
def test_the_chart_asks_for_as_many_copies_as_there_are_servers(
    documents: list[Document],
) -> None:
    replicas = one(documents, "StatefulSet", "nats")["spec"]["replicas"]
    (container,) = workloads(case("default"))["dxmesh-labs"]["spec"]["containers"]
    variables = {entry["name"]: entry.get("value") for entry in container["env"]}
    services = {d["metadata"]["name"] for d in of_kind(documents, "Service")}

    assert variables["DX_NATS_REPLICAS"] == str(replicas)
    assert variables["DX_NATS_URL"].removeprefix("tls://").split(":")[0] in services
