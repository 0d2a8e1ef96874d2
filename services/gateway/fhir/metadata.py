"""GET /fhir/metadata: a CapabilityStatement made from the routes and tables that serve.

What a route does for a type is in its `interactions`: FHIR codes, `conditional-…`, and
operations with their `$`. Whoever adds a route adds to the statement, and only so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import answers, writes
from services.gateway.fhir.search.definitions import parameters
from services.gateway.fhir.types import TYPES
from services.gateway.smart.configuration import security as smart_security
from services.gateway.smart.site import Site
from services.kernel import fhir

Json = dict[str, Any]
Pairs = tuple[tuple[str, str], ...]

PUBLISHED = "2026-11-25"
"""Date this surface last changed; raise it with the routes."""
EVERY = "*"
"""In an interaction of a route: every type."""
CHANGING = frozenset({"create", "update", "patch", "delete"})
DEFINITIONS = {
    "validate": "http://hl7.org/fhir/OperationDefinition/Resource-validate",
    "everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    "document": "http://hl7.org/fhir/OperationDefinition/Composition-document",
    "export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
    "Patient/export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/patient-export",
    "Group/export": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/group-export",
}
"""Canonical urls of operations, of a type before those of any; one not here is our own."""
SUPPORTED: dict[str, list[str]] = {}
"""By type: canonical addresses of our profiles; filled by the routes that serve them."""
BULK_DATA = "http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"
EXTENSIONS: dict[str, list[Json]] = {}
"""By type: what its entry says besides; filled by the routes that serve it."""


async def metadata(call: Call) -> Response:
    """Return the CapabilityStatement."""
    answers.accept_json(call.request)
    state = call.request.app.state
    made = statement(call.base_url, tuple(state.interactions), cors=bool(state.cors))
    headers = {"Cache-Control": "private, max-age=60"}
    return Response(made, headers=headers, media_type=fhir.MEDIA_TYPE)


@lru_cache(maxsize=8)
def statement(base: str, interactions: Pairs, *, cors: bool = False) -> bytes:
    """Return the CapabilityStatement for (resource type, interaction) pairs, as JSON.

    "" is the system, "*" every type.
    """
    pairs = list(dict.fromkeys(interactions))
    own = [code for kind, code in pairs if not kind]
    security: Json = {
        "cors": cors,
        "description": "Every request but this one needs a bearer token: of SMART App Launch, or "
        "issued by the operator.",
    }
    security |= smart_security(Site(base))
    rest: Json = {
        "mode": "server",
        "security": security,
        "resource": [_resource(kind, pairs) for kind in sorted(TYPES)],
        "interaction": [{"code": code} for code in own if not code.startswith("$")],
        "searchParam": [{"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"}],
    }
    if operations := _operations(own):
        rest["operation"] = operations
    made = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "experimental": False,
        "date": PUBLISHED,
        "publisher": "dxmesh",
        "kind": "instance",
        "instantiates": [BULK_DATA],
        "software": {"name": "dxmesh", "version": _version()},
        "implementation": {
            "description": "AI-assisted diagnosis, for reference only; not a medical device",
            "url": f"{base}/fhir",
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/fhir+json",
        ],
        "rest": [rest],
    }
    return fhir.dump(made)


def codes_of(kind: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return what is served of a type, in the order of the routes, each once."""
    codes = [code for name, code in pairs if name in (kind, EVERY)]
    if kind in writes.UNWRITABLE:
        codes = [code for code in codes if code.removeprefix("conditional-") not in CHANGING]
    return list(dict.fromkeys(codes))


def _resource(kind: str, pairs: Sequence[tuple[str, str]]) -> Json:
    codes = codes_of(kind, pairs)
    plain = [c for c in codes if not c.startswith(("conditional-", "$"))]
    entry: Json = {
        "type": kind,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{kind}",
        "interaction": [{"code": code} for code in plain],
        "versioning": "versioned",
        "readHistory": "vread" in codes,
        "updateCreate": "update" in codes,
        "conditionalCreate": "conditional-create" in codes,
        "conditionalRead": "full-support" if "conditional-read" in codes else "not-supported",
        "conditionalUpdate": "conditional-update" in codes,
        "conditionalDelete": "single" if "conditional-delete" in codes else "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
    }
    known = parameters(kind)
    links = [f"{kind}:{code}" for code, known_as in known.items() if known_as.kind == "reference"]
    if links:
        entry["searchInclude"] = links
    if back := _revincludes().get(kind):
        entry["searchRevInclude"] = back
    entry["searchParam"] = [
        {"name": code, "type": definition.kind} for code, definition in known.items()
    ]
    if operations := _operations(codes, kind):
        entry["operation"] = operations
    if kind in SUPPORTED:
        entry["supportedProfile"] = SUPPORTED[kind]
    if kind in EXTENSIONS:
        entry["extension"] = EXTENSIONS[kind]
    return entry


@lru_cache(maxsize=1)
def _revincludes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source in sorted(TYPES):
        for code, definition in parameters(source).items():
            if definition.kind == "reference":
                for target in definition.targets:
                    found.setdefault(target, []).append(f"{source}:{code}")
    return found


def _operations(codes: Iterable[str], kind: str = "") -> list[Json]:
    names = [code[1:] for code in codes if code.startswith("$")]
    ours = "urn:dxmesh:fhir:OperationDefinition:"
    made: list[Json] = []
    for name in names:
        known = DEFINITIONS.get(f"{kind}/{name}") or DEFINITIONS.get(name, ours + name)
        made.append({"name": name, "definition": known})
    return made


def _version() -> str:
    try:
        return version("dxmesh")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
