"""The chart through the real Helm, and every object against the Kubernetes schemas."""

from __future__ import annotations

import re
import tomllib
from collections import Counter

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

from services.kernel.subjects import SERVICES
from tests.chart.render import CASES, CHART, ROOT, Document, case, files, of_kind, render

NOTES = "dxmesh/templates/NOTES.txt"
VERSIONS = ("1.28", "1.33", "1.37")
"""From Chart.yaml's kubeVersion to the newest the validator knows."""


def known_to_kubernetes(documents: list[Document]) -> list[Document]:
    foreign = ("cert-manager.io/", "monitoring.coreos.com/")
    return [d for d in documents if not d["apiVersion"].startswith(foreign)]


@pytest.mark.requirement("DX-OPS-01")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_every_object_is_valid_in_strict_mode(name: str, version: str) -> None:
    for document in known_to_kubernetes(case(name)):
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.requirement("DX-OPS-01")
@pytest.mark.parametrize("name", CASES)
def test_helm_finds_nothing_to_say_but_the_icon(name: str) -> None:
    report = helm.lint(CHART, CASES[name], strict=True, namespace="dxmesh")

    assert report["errors"] == []
    assert [message["error"] for message in report["messages"]] == ["icon is recommended"]


@pytest.mark.requirement("DX-OPS-01")
@pytest.mark.parametrize("name", CASES)
def test_no_two_objects_share_a_name(name: str) -> None:
    names = Counter((d["kind"], d["metadata"]["name"]) for d in case(name))

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.requirement("DX-OPS-01")
def test_the_eight_services_and_triton_are_deployed() -> None:
    names = {d["metadata"]["name"] for d in of_kind(case("default"), "Deployment")}

    assert names == {f"dxmesh-{service}" for service in (*SERVICES, "triton")}


@pytest.mark.requirement("DX-OPS-01")
def test_two_releases_do_not_meet() -> None:
    first, second = render({}, "north"), render({}, "south")

    assert not {d["metadata"]["name"] for d in first} & {d["metadata"]["name"] for d in second}
    for deployment in of_kind(second, "Deployment"):
        assert (
            deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"] == "south"
        )


@pytest.mark.requirement("DX-OPS-01")
def test_images_are_pinned_by_tag_or_by_content() -> None:
    images = {
        container["name"]: container["image"]
        for deployment in of_kind(case("everything"), "Deployment")
        for container in deployment["spec"]["template"]["spec"]["containers"]
    }

    assert images["labs"] == "registry.example.org/dxmesh/labs:1.2.3"
    assert images["imaging"] == f"registry.example.org/dxmesh/imaging@sha256:{'1' * 64}"
    assert images["triton"] == f"nvcr.io/nvidia/tritonserver@sha256:{'0' * 64}"


@pytest.mark.requirement("DX-OPS-01")
def test_notes_name_the_placeholders_that_are_left() -> None:
    notes = files({})[NOTES]
    ready = files(CASES["example"])[NOTES]

    assert "image.repository" in notes
    assert "networkPolicy" in notes
    assert "PLACEHOLDERS" not in ready
    assert "https://dxmesh.hospital.example" in ready


@pytest.mark.requirement("DX-OPS-01")
def test_notes_warn_of_what_would_fail_in_silence() -> None:
    endpoint = {"telemetry": {"endpoint": "http://otel:4317"}}
    reached = {"networkPolicy": {"telemetry": [{"namespace": "monitoring", "port": 4317}]}}
    open_network = {"networkPolicy": {"enabled": False}}

    assert "NO TELEMETRY" in files(endpoint)[NOTES]
    assert "NO TELEMETRY" not in files(endpoint | reached)[NOTES]
    assert "POLICIES ARE OFF" in files(open_network)[NOTES]


@pytest.mark.requirement("DX-OPS-01")
def test_the_chart_is_of_the_version_it_installs() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert chart["version"] == chart["appVersion"] == project["version"]


@pytest.mark.requirement("DX-OPS-08")
def test_more_pods_on_cpu_use_only_where_asked_for() -> None:
    assert not of_kind(case("default"), "HorizontalPodAutoscaler")

    (scaler,) = of_kind(case("everything"), "HorizontalPodAutoscaler")
    (gateway,) = (
        d
        for d in of_kind(case("everything"), "Deployment")
        if d["metadata"]["name"] == "mesh-gateway"
    )
    assert scaler["spec"]["scaleTargetRef"]["name"] == "mesh-gateway"
    assert "replicas" not in gateway["spec"]


@pytest.mark.requirement("DX-CRI-18")
def test_alarms_rest_on_metrics_that_are_sent_and_name_a_place_in_the_guide() -> None:
    assert not of_kind(case("default"), "PrometheusRule")
    (found,) = of_kind(case("everything"), "PrometheusRule")
    sent = re.findall(r'"(dxmesh\.[a-z_.]+)"', (ROOT / "services/kernel/telemetry.py").read_text())
    names = {each.replace(".", "_") for each in sent}
    names |= {f"{each}_{end}" for each in names for end in ("seconds", "total")}
    guide = (ROOT / "docs/guides/critical-results.md").read_text()
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    for rule in rules:
        used = set(re.findall(r"dxmesh_[a-z_]+", rule["expr"]))
        assert used and used <= names, rule["alert"]
        assert rule["alert"] in guide and "critical-results.md" in rule["annotations"]["runbook"]
    assert len(rules) == 4 and "> 1200" in rules[0]["expr"]
    assert "{{ $labels.tenant }}" in rules[0]["annotations"]["summary"]
    assert found["metadata"]["labels"]["release"] == "prometheus"
