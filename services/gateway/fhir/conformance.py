"""Our StructureDefinitions, CodeSystems and ValueSets under /fhir, beside those that were stored.

`GET /fhir/StructureDefinition/dxmesh-<name>` and `?url=<canonical>` answer what this release
emits; everything else is the store's. Nobody can change ours: an id that begins with `dxmesh-`
is read here first.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from starlette.responses import Response

from services.gateway.access.gate import Entry
from services.gateway.access.principal import Action
from services.gateway.call import Call
from services.gateway.fhir import answers, metadata, read, searching, validate
from services.gateway.profiles.conform import problems_under
from services.gateway.profiles.definitions import profiles, terminology, url_of

Json = dict[str, Any]
KINDS = ("StructureDefinition", "CodeSystem", "ValueSet")


@cache
def _ours(kind: str) -> dict[str, Json]:
    """Return our resources of a type by their canonical address."""
    every = [*profiles().values(), *terminology()]
    return {made["url"]: made for made in every if made["resourceType"] == kind}


async def _read(kind: str, call: Call) -> Response:
    resource_id = call.path("id")
    for made in _ours(kind).values():
        if made["id"] == resource_id:
            answers.accept_json(call.request)
            return answers.json_resource(made)
    call.request.path_params["type"] = kind
    return await read.read(call)


async def _search(kind: str, call: Call) -> Response:
    pairs = call.request.query_params.multi_items()
    wanted = [url for name, value in pairs if name == "url" for url in value.split(",")]
    found = [_ours(kind)[url.partition("|")[0]] for url in wanted if url in _ours(kind)]
    if not found or {name for name, _ in pairs} - {"url", "_format", "_pretty"}:
        call.request.path_params["type"] = kind
        return await searching.search(call)
    answers.accept_json(call.request)
    base = f"{call.base_url}/fhir/{kind}"
    entries = [
        {"fullUrl": f"{base}/{made['id']}", "resource": made, "search": {"mode": "match"}}
        for made in found
    ]
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(entries),
        "link": [{"relation": "self", "url": f"{base}?url={','.join(wanted)}"}],
        "entry": entries,
    }
    return answers.json_resource(bundle)


ENTRIES = tuple(
    entry
    for kind in KINDS
    for entry in (
        Entry(f"/fhir/{kind}", "GET", Action.READ, partial(_search, kind)),
        Entry(f"/fhir/{kind}/{{id}}", "GET", Action.READ, partial(_read, kind)),
    )
)

for name, definition in profiles().items():
    if definition["type"] != "Extension":
        validate.PROFILES[url_of(name)] = partial(problems_under, name=name)
        metadata.SUPPORTED.setdefault(definition["type"], []).append(url_of(name))
