"""$validate: POST /fhir/{type}[/{id}]/$validate. Says what is wrong; stores nothing.

The resource comes by itself or as `resource` in Parameters, with `mode` (create, update,
delete, profile) and `profile` there or in the address. Checked are form, elements,
cardinality, types, codes of required bindings, reference targets, what the mode asks for, and
the profiles this server publishes. Not checked: invariants and value sets of terminologies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.fhir import allowed, answers, content, validation
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound, Violation

Json = dict[str, Any]
ProfileCheck = Callable[[Mapping[str, Any]], list[Violation]]

MODES = frozenset({"create", "update", "delete", "profile"})
PROFILES: dict[str, ProfileCheck] = {}
"""By canonical url: what a profile finds wrong in a resource."""


async def of_type(call: Call) -> Response:
    """Validate content of a type."""
    return await _validate(call, content.kind_of(call.path("type")), "")


async def of_instance(call: Call) -> Response:
    """Validate content as the next version of a resource; without any, the current one."""
    kind = content.kind_of(call.path("type"))
    return await _validate(call, kind, content.id_of(call.path("id"), kind))


async def _validate(call: Call, kind: str, resource_id: str) -> Response:
    answers.accept_json(call.request)
    resource, mode, profile = await _asked(call, kind)
    if resource_id and (resource is None or mode in ("update", "delete")):
        current = await call.store.resources.read(call.tenant, kind, resource_id)
        call.principal.rights.covering(kind, "r")
        allowed.require_seen(call.principal.rights.visibility("r"), current)
        if resource is None:
            resource = fhir.parse(current.content)
    found: list[Violation] = []
    if mode == "delete":
        if not resource_id:
            found.append(Violation("mode", "delete is asked of an instance"))
    elif resource is None:
        raise InvalidInput(
            "there is no resource to validate",
            [Violation("Parameters.parameter", "resource is needed")],
            reason="BAD_REQUEST",
        )
    else:
        found = await content.run_heavy(1 << 20, _problems, resource, kind, profile)
        found += _by_mode(resource, mode, resource_id)
    await call.audit("$validate", kind, query=trail.query_of(call.request))
    return answers.json_resource(_outcome(found))


async def _asked(call: Call, kind: str) -> tuple[Json | None, str, str]:
    """Return the resource, the mode and the profile."""
    query = call.request.query_params
    mode, profile = query.get("mode", ""), query.get("profile", "")
    resource: Json | None = None
    if call.request.method == "POST":
        value = await content.read_json_if_any(call)
        resource = value
        if value and value["resourceType"] == "Parameters" and kind != "Parameters":
            resource, given = None, value.get("parameter")
            for parameter in given if isinstance(given, list) else ():
                name = parameter.get("name") if isinstance(parameter, Mapping) else None
                if name == "resource" and isinstance(parameter.get("resource"), dict):
                    resource = content.as_object(parameter["resource"])
                elif name == "mode":
                    mode = str(parameter.get("valueCode", parameter.get("valueString", mode)))
                elif name == "profile":
                    url = parameter.get("valueUri", parameter.get("valueCanonical", profile))
                    profile = str(url)
    if mode and mode not in MODES:
        problem = Violation("mode", f"must be one of {', '.join(sorted(MODES))}")
        raise InvalidInput("the mode is not known", [problem], reason="BAD_REQUEST")
    if profile and profile.partition("|")[0] not in PROFILES:
        problem = Violation("profile", "this server does not publish that profile")
        raise NotFound(problem.problem, reason="UNKNOWN_PROFILE")
    return resource, mode, profile.partition("|")[0]


def _problems(resource: Json, kind: str, profile: str) -> list[Violation]:
    if resource["resourceType"] != kind:
        return [Violation("resourceType", f"must be {kind}, as in the address")]
    found = validation.problems(resource) or validation.misdirected(resource)
    meta = resource.get("meta")
    stated = meta.get("profile", []) if isinstance(meta, Mapping) else []
    wanted = [profile] if profile else [str(url).partition("|")[0] for url in stated]
    for url in wanted:
        if check := PROFILES.get(url):
            found = [*found, *check(resource)]
    return found


def _by_mode(resource: Json, mode: str, resource_id: str) -> list[Violation]:
    kind = resource["resourceType"]
    if mode == "update" and "id" not in resource:
        return [Violation(f"{kind}.id", "is needed for an update")]
    if resource_id and resource.get("id", resource_id) != resource_id:
        return [Violation(f"{kind}.id", "must be the id in the address")]
    return []


def _outcome(found: list[Violation]) -> Json:
    issues = answers.issues_of(found, "error", "invalid")
    if not issues:
        text = {"text": "no problem was found"}
        issues = [{"severity": "information", "code": "informational", "details": text}]
    return {"resourceType": "OperationOutcome", "issue": issues}
