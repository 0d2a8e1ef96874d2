"""Settings: one frozen dataclass per service, read once from the environment.

A field `timeout_s` of the imaging service is read from `DX_IMAGING_TIMEOUT_S`, else from
`DX_TIMEOUT_S`, so what all services share is written once.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.kernel.errors import MeshError


class BadSettings(MeshError):
    """One or more settings are missing or malformed; all are named at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What every service needs, read from `DX_*`."""

    nats_url: str
    """NATS address, nats://host:port or tls://host:port; several with commas."""

    nats_seed_file: Path | None = None
    """File with this service's nkey seed; none: the bus asks for no credential (tests)."""

    nats_replicas: int = 1
    """Copies JetStream keeps of each stream: 1 on one machine, 3 in a cluster."""

    ack_wait_s: float = 30.0
    """Seconds after which an unanswered message goes to another replica."""

    max_deliveries: int = 40
    """Deliveries of one message before it becomes a dead letter."""

    grpc_listen: str = "127.0.0.1:50051"
    """Address the gRPC server listens on, host:port."""

    tls_dir: Path | None = None
    """Folder with ca.crt, tls.crt, tls.key for mutual TLS; none: plain text (tests)."""

    otlp_endpoint: str | None = None
    """OpenTelemetry collector, http://host:port (gRPC); none: nothing is exported."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""

    drain_s: float = 25.0
    """Seconds a stopping service may finish its work."""

    blobs_analysis_url: str = "memory:///"
    """Blob store of the analysis zone: file:///path, s3://bucket/prefix or memory:///."""

    master_key_analysis_file: Path | None = None
    """File with the analysis zone's master key, 32 bytes as base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySettings(MeshSettings):
    """What a service of the identity zone needs besides."""

    blobs_identity_url: str = "memory:///"
    """Blob store of the identity zone; never the analysis zone's."""

    master_key_identity_file: Path | None = None
    """File with the identity zone's master key, 32 bytes as base64."""


T = typing.TypeVar("T")


def load(cls: type[T], service: str, env: Mapping[str, str]) -> T:
    """Return the settings of `service` from `env`.

    Raises
    ------
    BadSettings
        Names every missing or malformed variable.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # every caller passes a dataclass
        own, shared = names(service, field.name)
        text = env.get(own, env.get(shared))
        if text is None or (text == "" and hints[field.name] is not str):
            if field.default is dataclasses.MISSING:
                problems.append(f"{own} (or {shared}) is not set")
            continue
        try:
            values[field.name] = _convert(text, hints[field.name])
        except ValueError:
            problems.append(f"{own} is not {hints[field.name]}: {text!r}")
    if problems:
        raise BadSettings(f"settings of {service}: " + "; ".join(problems))
    return cls(**values)


def names(service: str, field: str) -> tuple[str, str]:
    """Return the service's own variable for a field, and the shared one."""
    return f"DX_{service}_{field}".upper(), f"DX_{field}".upper()


def _convert(text: str, hint: object) -> object:
    if isinstance(hint, types.UnionType):
        hint = next(arg for arg in typing.get_args(hint) if arg is not type(None))
    if hint is bool:
        if text.lower() not in {"true", "false", "1", "0"}:
            raise ValueError(text)
        return text.lower() in {"true", "1"}
    if hint in (str, int, float, Path):
        return typing.cast(type, hint)(text)
    raise ValueError(text)


@dataclass(frozen=True, slots=True)
class Described:
    """One field for the documentation: variable, type, default as text, docstring."""

    variable: str
    kind: str
    default: str
    text: str


def describe(cls: type, service: str) -> list[Described]:
    """Return the fields of a settings class and of its parents, own fields first."""
    rows: list[Described] = []
    for owner in (c for c in cls.__mro__ if dataclasses.is_dataclass(c)):
        texts = _field_docs(owner)
        prefix = "" if owner in (MeshSettings, IdentitySettings) else service
        for field in dataclasses.fields(owner):
            if field.name not in texts:
                continue
            missing = field.default is dataclasses.MISSING
            variable = names(prefix, field.name)[0] if prefix else names("", field.name)[1]
            default = "required" if missing else str(field.default)
            rows.append(Described(variable, str(field.type), default, texts[field.name]))
    return rows


def _field_docs(cls: type) -> dict[str, str]:
    """Return the docstring written under each field in the source of `cls`."""
    body = typing.cast(
        ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    ).body
    docs: dict[str, str] = {}
    for field, doc in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant):
            docs[field.target.id] = " ".join(str(doc.value.value).split())
    return docs
