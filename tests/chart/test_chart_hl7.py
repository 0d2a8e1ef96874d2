"""HL7 v2 from outside the cluster: a Service of its own, reached from where the values say."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.render import case


def of(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(d for d in documents if d["kind"] == kind and d["metadata"]["name"].endswith(name))


@pytest.mark.requirement("DX-HL7-01")
def test_nothing_listens_until_senders_are_named() -> None:
    documents = case("default")
    assert all(not d["metadata"]["name"].endswith("-hl7") for d in documents)
    assert "MLLP" not in str(documents) and "2575" not in str(documents)


@pytest.mark.requirement("DX-HL7-01")
def test_laboratories_reach_the_mllp_port_and_no_other_of_ingest() -> None:
    documents = case("everything")
    service = of(documents, "Service", "-hl7")
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert [port["port"] for port in service["spec"]["ports"]] == [2575]
    policy = of(documents, "NetworkPolicy", "-ingest")["spec"]
    assert {
        "from": [{"ipBlock": {"cidr": "198.51.100.64/26"}}],
        "ports": [{"protocol": "TCP", "port": 2575}],
    } in policy["ingress"]
    assert str(policy).count("198.51.100.64/26") == 1, "and nothing goes back there"
    pod = of(documents, "Deployment", "-ingest")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    set_to = {each["name"]: each.get("value") for each in container["env"]}
    mounted = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    secrets = {v["name"]: v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    for name, secret in (
        ("SENDERS_FILE", "ingest-senders"),
        ("CERTIFICATE_FILE", "ingest-hl7-tls"),
        ("KEY_FILE", "ingest-hl7-tls"),
        ("CLIENT_CA_FILE", "ingest-hl7-tls"),
    ):
        folder = str(set_to[f"DX_INGEST_MLLP_{name}"]).rpartition("/")[0]
        assert secrets[mounted[folder]] == secret
