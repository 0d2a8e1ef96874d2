"""Who reaches whom: the chart's policies and NATS's, decided as Kubernetes decides them."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml

from services.kernel.subjects import SERVICES
from tests.chart.reach import Network, Pod
from tests.chart.render import (
    CASES,
    CHART,
    ROOT,
    case,
    component,
    kustomize,
    of_kind,
    render,
    workloads,
)

FACTS: dict[str, Any] = yaml.safe_load((CHART / "files" / "mesh.yaml").read_text())
IDENTITY = [name for name, fact in FACTS.items() if fact["zone"] == "identity"]
ANALYSIS = [name for name, fact in FACTS.items() if fact["zone"] == "analysis"]
GRPC, HTTP, NATS, TRITON, METRICS, DNS = 50051, 8080, 4222, 8001, 8002, 53
PORTS = (GRPC, HTTP, NATS, TRITON, METRICS, 8000, 8222, 6222)
INGRESS = Pod.of("controller", "ingress-nginx", {"app": "ingress"})
NAMES = Pod.of("dns", "kube-system", {"k8s-app": "kube-dns"})
STRANGER = Pod.of("stranger", "default", {"app.kubernetes.io/name": "dxmesh"})
NEIGHBOUR = Pod.of("neighbour", "dxmesh", {"app": "other"})


class World:
    """A release beside NATS, with pods outside both."""

    def __init__(self, chart: list[dict[str, Any]]) -> None:
        documents = chart + kustomize(ROOT / "deploy" / "k8s")
        self.network = Network(of_kind(documents, "NetworkPolicy"))
        self.pods = {
            component(template): Pod.of(name, "dxmesh", template["metadata"]["labels"])
            for name, template in workloads(documents).items()
        }

    def open_ports(self, source: Pod, target: Pod) -> set[int]:
        return {port for port in PORTS if self.network.connects(source, target, port)}


@pytest.fixture(scope="module", params=CASES)
def world(request: pytest.FixtureRequest) -> World:
    return World(case(request.param))


@pytest.fixture(scope="module")
def default() -> World:
    return World(case("default"))


def expected(source: str, target: str) -> set[int]:
    """Return the ports one component needs of another."""
    if target == "nats":
        return {6222} if source == "nats" else set() if source == "triton" else {NATS}
    if (source, target) == ("imaging", "triton"):
        return {TRITON}
    fact = FACTS.get(source, {"calls": [], "checks": []})
    return {GRPC} if target in fact["calls"] + fact["checks"] else set()


@pytest.mark.requirement("DX-OPS-07")
def test_pods_reach_what_they_call_and_nothing_else(world: World) -> None:
    for source, target in itertools.product(world.pods, repeat=2):
        if source != target or source == "nats":
            found = world.open_ports(world.pods[source], world.pods[target])
            assert found == expected(source, target), (source, target)


@pytest.mark.requirement("DX-OPS-07")
def test_no_pod_of_the_analysis_zone_reaches_one_of_the_identity_zone(world: World) -> None:
    for source in [*ANALYSIS, *(["triton"] if "triton" in world.pods else [])]:
        for target in IDENTITY:
            assert not world.open_ports(world.pods[source], world.pods[target])


@pytest.mark.requirement("DX-OPS-07")
def test_who_is_not_of_the_mesh_reaches_nothing_but_the_gateway(default: World) -> None:
    for name, pod in default.pods.items():
        assert not default.open_ports(STRANGER, pod), name
        assert not default.open_ports(NEIGHBOUR, pod), name
        assert default.open_ports(INGRESS, pod) == ({HTTP} if name == "gateway" else set()), name


@pytest.mark.requirement("DX-OPS-07")
def test_every_pod_may_ask_for_names(world: World) -> None:
    for name, pod in world.pods.items():
        assert world.network.connects(pod, NAMES, DNS), name


@pytest.mark.requirement("DX-OPS-07")
def test_databases_are_reached_by_their_owners_in_their_zone(default: World) -> None:
    for service in SERVICES:
        pod, fact = default.pods[service], FACTS[service]
        owns = fact["zone"] if fact["database"] else ""
        assert default.network.leaves(pod, "192.0.2.20", 5432) == (owns == "identity"), service
        assert default.network.leaves(pod, "192.0.2.21", 5432) == (owns == "analysis"), service


@pytest.mark.requirement("DX-OPS-07")
def test_storage_is_reached_by_zone() -> None:
    values = {
        "networkPolicy": {
            "storage": {
                "identity": [{"cidr": "198.51.100.1/32", "port": 443}],
                "analysis": [{"cidr": "198.51.100.2/32", "port": 443}],
            }
        }
    }
    world = World(render(values))

    for service in SERVICES:
        zone = FACTS[service]["zone"]
        pod = world.pods[service]
        assert world.network.leaves(pod, "198.51.100.1", 443) == (zone == "identity"), service
        assert world.network.leaves(pod, "198.51.100.2", 443) == (zone == "analysis"), service


@pytest.mark.requirement("DX-OPS-07")
def test_the_gateway_alone_reaches_ehrs_and_receivers_once_they_are_named() -> None:
    ehr = {"networkPolicy": {"gatewayTo": [{"cidr": "198.51.100.7/32", "port": 443}]}}
    world = World(render(ehr))
    for service in SERVICES:
        reached = world.network.leaves(world.pods[service], "198.51.100.7", 443)
        assert reached == (service == "gateway"), service


@pytest.mark.requirement("DX-OPS-07")
def test_nothing_leads_anywhere_else(default: World) -> None:
    """Neither the internet, nor the cloud's metadata address, nor the Kubernetes API."""
    for name, pod in default.pods.items():
        for address in ("203.0.113.9", "169.254.169.254", "10.96.0.1"):
            assert not default.network.leaves(pod, address, 443), (name, address)


@pytest.mark.requirement("DX-OPS-07")
def test_peers_of_the_values_are_let_in() -> None:
    world = World(case("everything"))
    console = Pod.of("console", "operations", {"app": "console"})
    prometheus = Pod.of("prometheus", "monitoring", {})

    assert world.open_ports(console, world.pods["gateway"]) == {GRPC}
    assert not world.open_ports(console, world.pods["ingest"])
    assert world.open_ports(prometheus, world.pods["triton"]) == {METRICS}
    assert not world.open_ports(INGRESS, world.pods["gateway"])
    for service in SERVICES:
        assert world.network.connects(world.pods[service], prometheus, 4317), service
    assert not world.network.connects(world.pods["triton"], prometheus, 4317)


@pytest.mark.requirement("DX-OPS-07")
def test_each_policy_is_about_pods_that_exist(world: World) -> None:
    for policy in world.network._policies:
        selected = [pod for pod in world.pods.values() if world.network.selected(policy, pod)]
        assert selected, policy["metadata"]["name"]


@pytest.mark.requirement("DX-OPS-07")
def test_peers_inside_the_release_exist(world: World) -> None:
    """A policy that names a pod nobody runs would be a typo."""
    for policy in world.network._policies:
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                for peer in rule.get(side, []):
                    labels = peer.get("podSelector", {}).get("matchLabels", {})
                    if "namespaceSelector" not in peer and "app.kubernetes.io/component" in labels:
                        assert any(
                            labels.items() <= dict(p.labels).items() for p in world.pods.values()
                        )


@pytest.mark.requirement("DX-OPS-07")
def test_policies_are_left_out_only_where_asked() -> None:
    assert not of_kind(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")
