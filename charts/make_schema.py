"""Keeps `services.<name>.settings` of the chart's schema in step with the settings classes.

`python charts/make_schema.py` writes every setting that the chart does not set itself into
`dxmesh/values.schema.json`, with its type and its docstring; `--check` exits 1 when the file
is stale. The rest of the schema is written by hand.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import types
import typing
from pathlib import Path
from typing import Any

from services.kernel.settings import describe, names
from services.kernel.subjects import SERVICES

SCHEMA = Path(__file__).parent / "dxmesh" / "values.schema.json"
JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}
SET_BY_CHART = frozenset(
    {
        "accounts_file",
        "blobs_analysis_url",
        "blobs_identity_url",
        "cds_clients_file",
        "critical_limits_dir",
        "database_url",
        "dimse_certificate_file",
        "dimse_client_ca_file",
        "dimse_devices_file",
        "dimse_host",
        "dimse_key_file",
        "dimse_port",
        "dimse_title",
        "drain_s",
        "ehr_file",
        "grpc_listen",
        "http_listen",
        "http_tls_dir",
        "log_level",
        "master_key_analysis_file",
        "master_key_identity_file",
        "mllp_certificate_file",
        "mllp_client_ca_file",
        "mllp_host",
        "mllp_key_file",
        "mllp_port",
        "mllp_senders_file",
        "model_repository",
        "nats_replicas",
        "nats_seed_file",
        "nats_url",
        "otlp_endpoint",
        "outbound_ca_file",
        "public_url",
        "routing_dir",
        "scratch_dir",
        "spool_dir",
        "tls_dir",
        "triton_shared_memory",
        "triton_url",
    }
)
"""Fields that follow from other values, or (`spool_dir`, `scratch_dir`) from where pods write."""


def main() -> None:
    """Write the schema, or with `--check` say whether it is current."""
    text = SCHEMA.read_text("utf-8")
    schema = json.loads(text)
    for service in SERVICES:
        schema["$defs"][f"{service}Settings"] = settings_schema(service)
    fresh = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv:
        SCHEMA.write_text(fresh, "utf-8")
    elif fresh != text:
        sys.exit(f"{SCHEMA.name} is stale: run python charts/make_schema.py")


def settings_schema(service: str) -> dict[str, Any]:
    """Return the JSON schema of a service's free settings."""
    cls = importlib.import_module(f"services.{service}.settings").Settings
    hints = typing.get_type_hints(cls)
    texts = {row.variable: row.text for row in describe(cls, service)}
    properties = {}
    for field in sorted(dataclasses.fields(cls), key=lambda each: each.name):
        if field.name in SET_BY_CHART or field.name.endswith("_address"):
            continue
        own, shared = names(service, field.name)
        text = texts[own] if own in texts else texts[shared]
        properties[field.name] = {
            "type": JSON_TYPES[_plain(hints[field.name])],
            "description": text,
        }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _plain(hint: Any) -> Any:
    """Return the type itself of one that may also be None."""
    if isinstance(hint, types.UnionType):
        return next(each for each in typing.get_args(hint) if each is not type(None))
    return hint


if __name__ == "__main__":
    main()
