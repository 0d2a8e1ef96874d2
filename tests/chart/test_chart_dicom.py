"""C-STORE from outside the cluster: a Service of its own, reached from where the values say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.render import case


def of(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(name))


@pytest.mark.requirement("DX-RCV-02")
def test_nothing_listens_until_devices_are_named() -> None:
    documents = case("default")
    assert all(not d["metadata"]["name"].endswith("-dicom") for d in documents)
    assert "DIMSE" not in str(documents) and "11112" not in str(documents)


@pytest.mark.requirement("DX-RCV-02")
def test_devices_reach_the_dicom_port_and_no_other_of_ingest() -> None:
    documents = case("everything")
    service = of(documents, "Service", "-dicom")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert [port["port"] for port in service["spec"]["ports"]] == [11112]
    policy = of(documents, "NetworkPolicy", "-ingest")["spec"]
    blocks = [rule for rule in policy["ingress"] if "198.51.100.128/25" in str(rule["from"])]
    assert blocks == [
        {
            "from": [{"ipBlock": {"cidr": "198.51.100.128/25"}}],
            "ports": [{"protocol": "TCP", "port": 11112}],
        }
    ]
    pod = of(documents, "Deployment", "-ingest")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    set_to = {each["name"]: each.get("value") for each in container["env"]}
    mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    for name, secret in (
        ("DEVICES_FILE", "ingest-devices"),
        ("CERTIFICATE_FILE", "ingest-dicom-tls"),
        ("KEY_FILE", "ingest-dicom-tls"),
        ("CLIENT_CA_FILE", "ingest-dicom-tls"),
    ):
        folder = str(set_to[f"DX_INGEST_DIMSE_{name}"]).rpartition("/")[0]
        assert secrets[mounted[folder]] == secret
