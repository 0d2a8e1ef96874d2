"""GET /fhir/metadata: a CapabilityStatement made from the routes and tables that serve."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.fhir import answers
from services.gateway.fhir.parameters import PARAMETERS

PUBLISHED = "2026-11-24"
"""Date this surface last changed; raise it with the routes."""
EVERY = "*"
"""In an interaction of a route: every type that can be read."""


async def metadata(call: Call) -> Response:
    """Return the CapabilityStatement."""
    answers.accept_json(call.request)
    return answers.json_resource(statement(call.base_url, call.request.app.state.interactions))


def statement(base: str, interactions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the CapabilityStatement for (resource type, interaction) pairs; "" is the system."""
    pairs = list(dict.fromkeys(interactions))
    system = [{"code": code} for kind, code in pairs if not kind]
    resources: list[dict[str, Any]] = []
    for kind, parameters in sorted(PARAMETERS.items()):
        codes = [code for name, code in pairs if name in (kind, EVERY)]
        entry: dict[str, Any] = {
            "type": kind,
            "interaction": [{"code": code} for code in codes],
            "versioning": "versioned",
            "readHistory": True,
        }
        if "update" in codes:
            entry["updateCreate"] = True
        entry["searchParam"] = [
            {"name": "_id", "type": "token"},
            *({"name": p.name, "type": p.kind, "documentation": p.path} for p in parameters),
        ]
        resources.append(entry)
    security = {
        "cors": False,
        "description": "Every request needs a bearer token issued by the operator.",
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "experimental": False,
        "date": PUBLISHED,
        "kind": "instance",
        "software": {"name": "dxmesh", "version": _version()},
        "implementation": {
            "description": "AI-assisted diagnosis, for reference only; not a medical device",
            "url": f"{base}/fhir",
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": security,
                "resource": resources,
                "interaction": system,
            }
        ],
    }


def _version() -> str:
    try:
        return version("dxmesh")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"
