"""What every pod of the chart and of `deploy/k8s` keeps to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from services.kernel.subjects import SERVICES
from tests.chart.render import (
    CASES,
    CHART,
    ROOT,
    Document,
    case,
    component,
    kustomize,
    of_kind,
    workloads,
)

FACTS: dict[str, Any] = yaml.safe_load((CHART / "files" / "mesh.yaml").read_text())
ANALYSIS = {name for name, fact in FACTS.items() if fact["zone"] == "analysis"} | {"triton"}


@pytest.fixture(scope="module", params=[*CASES, "k8s"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    if request.param == "k8s":
        return kustomize(ROOT / "deploy" / "k8s")
    return case(request.param)


def containers(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    for name, template in workloads(documents).items():
        spec = template["spec"]
        for container in spec["containers"] + spec.get("initContainers", []):
            yield f"{name}/{container['name']}", container


@pytest.mark.requirement("DX-OPS-06")
def test_pods_are_restricted(documents: list[Document]) -> None:
    """The `restricted` Pod Security Standard, and no token of the Kubernetes API."""
    assert workloads(documents)
    for name, template in workloads(documents).items():
        spec, security = template["spec"], template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] >= 1000, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}, name


@pytest.mark.requirement("DX-OPS-06")
def test_containers_can_change_nothing_of_themselves(documents: list[Document]) -> None:
    for name, container in containers(documents):
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, name
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert not security.get("privileged"), name


@pytest.mark.requirement("DX-OPS-06")
def test_every_container_has_requests_and_limits(documents: list[Document]) -> None:
    for name, container in containers(documents):
        for kind in ("requests", "limits"):
            assert {"cpu", "memory"} <= set(container["resources"][kind]), name


@pytest.mark.requirement("DX-OPS-06")
def test_every_writable_volume_has_a_bound(documents: list[Document]) -> None:
    for name, template in workloads(documents).items():
        for volume in template["spec"]["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"], (name, volume["name"])


@pytest.mark.requirement("DX-OPS-05")
def test_every_pod_is_asked_whether_it_lives(documents: list[Document]) -> None:
    for name, template in workloads(documents).items():
        for container in template["spec"]["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container[kind]
                assert {"exec", "httpGet"} & set(probe), (name, kind)
                assert probe["timeoutSeconds"] <= probe["periodSeconds"] * 2, (name, kind)
                assert "grpc" not in probe, "the native gRPC probe speaks no TLS"


@pytest.mark.requirement("DX-OPS-05")
def test_services_are_asked_by_their_own_name() -> None:
    for template in workloads(case("default")).values():
        (container,) = template["spec"]["containers"]
        if container["name"] in SERVICES:
            command = container["startupProbe"]["exec"]["command"]
            assert command == ["python", "-m", "services.kernel.probe", container["name"]]


@pytest.mark.requirement("DX-OPS-05")
def test_the_gateway_is_asked_over_https_where_it_serves_it() -> None:
    for name, scheme in (("default", "HTTP"), ("everything", "HTTPS")):
        (gateway,) = (t for t in workloads(case(name)).values() if component(t) == "gateway")
        (container,) = gateway["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"]["scheme"] == scheme


@pytest.mark.requirement("DX-OPS-08")
def test_each_disruption_budget_is_about_one_workload_and_none_is_forgotten(
    documents: list[Document],
) -> None:
    covered = []
    for budget in of_kind(documents, "PodDisruptionBudget"):
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        hit = [
            n for n, t in workloads(documents).items() if wanted <= t["metadata"]["labels"].items()
        ]
        assert len(hit) == 1, budget["metadata"]["name"]
        covered += hit

    assert sorted(covered) == sorted(workloads(documents))


@pytest.mark.requirement("DX-OPS-08")
def test_services_lead_to_ports_of_one_workload(documents: list[Document]) -> None:
    for service in of_kind(documents, "Service"):
        wanted = service["spec"]["selector"].items()
        (template,) = (
            t for t in workloads(documents).values() if wanted <= t["metadata"]["labels"].items()
        )
        named = {port["name"] for c in template["spec"]["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


@pytest.mark.requirement("DX-OPS-06")
def test_service_accounts_exist_and_carry_no_token(documents: list[Document]) -> None:
    accounts = {d["metadata"]["name"]: d for d in of_kind(documents, "ServiceAccount")}

    used = {template["spec"]["serviceAccountName"] for template in workloads(documents).values()}
    assert used == set(accounts)
    assert all(a["automountServiceAccountToken"] is False for a in accounts.values())


@pytest.mark.requirement("DX-OPS-06")
def test_no_secret_is_written_anywhere(documents: list[Document]) -> None:
    """Neither as an object, nor as the value of a variable."""
    assert not of_kind(documents, "Secret")
    telling = re.compile(r"password|secret|token|seed|key|database_url", re.IGNORECASE)
    for name, container in containers(documents):
        for entry in container.get("env", []):
            if telling.search(entry["name"]):
                path = entry.get("value", "").startswith("/etc/dxmesh/")
                assert path or "secretKeyRef" in entry["valueFrom"], (name, entry["name"])


def names_in(value: Any) -> Iterator[str]:
    """Yield every name and text in a pod's specification."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from names_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names_in(inner)
    else:
        yield str(value)


@pytest.mark.requirement("DX-OPS-07")
@pytest.mark.parametrize("name", CASES)
def test_a_pod_of_the_analysis_zone_holds_nothing_of_the_identity_zone(name: str) -> None:
    """No variable, volume or Secret of a pod names the other zone or one of its services."""
    foreign = re.compile("identity|gateway|ingest|anonymization|consent", re.IGNORECASE)
    for template in workloads(case(name)).values():
        if component(template) in ANALYSIS:
            assert template["metadata"]["labels"]["dxmesh/zone"] == "analysis"
            assert [text for text in names_in(template["spec"]) if foreign.search(text)] == []


@pytest.mark.requirement("DX-OPS-07")
@pytest.mark.parametrize("name", CASES)
def test_no_two_services_share_a_credential(name: str) -> None:
    """A key, certificate or database belongs to one service; a zone's key to its zone."""
    holders: dict[str, set[str]] = {}
    for template in workloads(case(name)).values():
        for volume in template["spec"]["volumes"]:
            if "secret" in volume and not volume["name"].startswith("master-key"):
                holders.setdefault(volume["secret"]["secretName"], set()).add(component(template))

    assert {secret: who for secret, who in holders.items() if len(who) > 1} == {}


@pytest.mark.requirement("DX-OPS-07")
@pytest.mark.parametrize("name", CASES)
def test_only_who_opens_a_zone_s_blobs_has_its_key(name: str) -> None:
    for template in workloads(case(name)).values():
        if (service := component(template)) in SERVICES:
            keys = {v["name"] for v in template["spec"]["volumes"] if "master-key" in v["name"]}
            assert keys == {f"master-key-{zone}" for zone in FACTS[service]["blobs"]}


@pytest.mark.requirement("DX-OPS-10")
def test_certificates_name_the_service_and_its_address() -> None:
    """The common name is what kernel.rpc checks, a DNS name what a caller connects to."""
    made = {c["spec"]["commonName"]: c["spec"] for c in of_kind(case("everything"), "Certificate")}
    secrets = {
        component(t): next(v for v in t["spec"]["volumes"] if v["name"] == "tls")["secret"]
        for t in workloads(case("everything")).values()
        if component(t) in SERVICES
    }

    assert set(made) == set(SERVICES)
    for service, spec in made.items():
        assert f"mesh-{service}" in spec["dnsNames"]
        assert {"server auth", "client auth"} <= set(spec["usages"])
        assert spec["secretName"] == secrets[service]["secretName"]
        assert spec["issuerRef"] == {"name": "hospital", "kind": "ClusterIssuer"}
