"""The schema of the chart's values: what is misspelt or out of range is refused by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import helm_python as helm
import pytest
import yaml

from tests.chart.render import CASES, CHART, ROOT, Document, check

SCHEMA = json.loads((CHART / "values.schema.json").read_text())

TYPOS: dict[str, Document] = {
    "a key that is not there": {"replicaCount": 2},
    "a service that is not there": {"services": {"imagning": {}}},
    "a key of a service": {"services": {"labs": {"replica": 3}}},
    "another service's key": {"services": {"labs": {"databaseSecret": "x"}}},
    "a setting that is not there": {"services": {"labs": {"settings": {"concurency": 3}}}},
    "a setting of another service": {"services": {"labs": {"settings": {"tick_s": 3}}}},
    "a setting the chart sets itself": {"services": {"labs": {"settings": {"tls_dir": "/x"}}}},
    "a setting of the wrong type": {"services": {"labs": {"settings": {"concurrency": "many"}}}},
    "no pod": {"services": {"labs": {"replicas": 0}}},
    "a fraction of a pod": {"services": {"labs": {"replicas": 1.5}}},
    "a service taken away": {"services": {"consent": None}},
    "no limits": {"services": {"labs": {"resources": {"limits": None}}}},
    "a resource that is misspelt": {
        "services": {"labs": {"resources": {"limits": {"mem": "1Gi"}}}}
    },
    "a size without unit": {"services": {"ingest": {"scratch": "20"}}},
    "a digest cut short": {"services": {"labs": {"digest": "sha256:abc"}}},
    "a name of a Secret in capitals": {"services": {"labs": {"tlsSecret": "Labs_TLS"}}},
    "a log level": {"logLevel": "info"},
    "plain HTTP as bus": {"nats": {"url": "http://nats:4222"}},
    "two copies": {"nats": {"replicas": 2}},
    "a folder without claim": {"blobs": {"identity": {"url": "file:///blobs", "claim": ""}}},
    "a claim beside a bucket": {"blobs": {"identity": {"claim": "blobs"}}},
    "blobs in memory": {"blobs": {"analysis": {"url": "memory:///"}}},
    "an address for a range": {
        "networkPolicy": {"storage": {"identity": [{"cidr": "192.0.2.1", "port": 443}]}}
    },
    "a target without port": {
        "networkPolicy": {"databases": {"identity": [{"cidr": "192.0.2.1/32"}]}}
    },
    "a peer that is both": {
        "networkPolicy": {"gatewayFrom": [{"cidr": "192.0.2.1/32", "namespace": "x"}]}
    },
    "a peer that is nothing": {"networkPolicy": {"gatewayFrom": [{}]}},
    "an sslMode": {"database": {"sslMode": "prefer"}},
    "a flag of Triton": {"triton": {"args": ["model-repository=/x"]}},
    "a secret written into values": {"masterKeys": {"identity": "q83vEjRWeJASNFZ4kKvN7w=="}},
}


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, Document]]:
    """Yield every part of the schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            yield path, schema
        for key, value in schema.items():
            if key not in ("if", "then", "else"):
                yield from objects(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from objects(value, f"{path}/{number}")


@pytest.mark.requirement("DX-OPS-02")
@pytest.mark.parametrize("values", TYPOS.values(), ids=TYPOS.keys())
def test_a_mistake_is_refused(values: Document) -> None:
    with pytest.raises(helm.HelmValuesError):
        check(values)


@pytest.mark.requirement("DX-OPS-02")
def test_a_refusal_names_the_place() -> None:
    with pytest.raises(helm.HelmValuesError, match=r"services.*labs.*concurency|concurency"):
        check(TYPOS["a setting that is not there"])


@pytest.mark.requirement("DX-OPS-02")
@pytest.mark.parametrize("name", CASES)
def test_what_the_documentation_shows_is_accepted(name: str) -> None:
    check(CASES[name])


@pytest.mark.requirement("DX-OPS-02")
def test_every_object_of_the_schema_is_closed() -> None:
    loose = []
    for path, part in objects(SCHEMA):
        named = part.get("additionalProperties") is False
        checked = isinstance(part.get("additionalProperties"), dict) and "propertyNames" in part
        composed = part.get("unevaluatedProperties") is False
        base = path == "/$defs/service"  # closed by each service that refers to it
        if not (named or checked or composed or base or part.get("maxProperties") == 0):
            loose.append(path)

    assert loose == []


@pytest.mark.requirement("DX-OPS-02")
def test_settings_in_the_schema_are_those_of_the_code() -> None:
    command = [sys.executable, str(ROOT / "charts" / "make_schema.py"), "--check"]

    checked = subprocess.run(command, check=False, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stderr


@pytest.mark.requirement("DX-OPS-02")
def test_every_value_is_explained() -> None:
    """A block has a comment above or in it; a service's key is in the list above `services`."""
    text = (CHART / "values.yaml").read_text()
    blocks = re.split(r"\n\n(?=\S)", text)[1:]
    listed = set(re.findall(r"^#   (\w+)", text, re.MULTILINE))
    listed |= {"nodeSelector", "tolerations", "resources"}  # as in every Deployment
    commented = set(re.findall(r"^ +#.*\n    (\w+):", text, re.MULTILINE))
    keys = {key for service in yaml.safe_load(text)["services"].values() for key in service}

    assert [block for block in blocks if "#" not in block] == []
    assert keys - listed - commented == set()


@pytest.mark.requirement("DX-OPS-02")
def test_defaults_are_complete() -> None:
    """Nothing the schema knows is missing from values.yaml, where people look for it."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert set(SCHEMA["properties"]) - {"global"} == set(values)
    for service, given in values["services"].items():
        own = set(SCHEMA["$defs"][service]["properties"])
        assert own | set(SCHEMA["$defs"]["service"]["properties"]) == set(given), service
