"""transaction: every entry of a Bundle is done, or none is, under one lock and one commit.

Order of the standard: DELETE, POST, PUT and PATCH, GET. All ids are known before anything is
stored, so entries may refer to each other in circles. A read that will fail fails the whole
before the commit (see `foreseen`); reads are answered after it, and see what was done.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.responses import Response

from services.gateway.access.principal import Action, require
from services.gateway.call import Call
from services.gateway.fhir import (
    answers,
    bundles,
    conditions,
    delete,
    dispatch,
    foreseen,
    matching,
    patch,
    prefer,
    references,
    writes,
)
from services.gateway.fhir import steps as steps_of
from services.gateway.fhir.outcome import MultipleMatches, PreconditionFailed
from services.gateway.fhir.steps import Step, at, refused, told
from services.gateway.progress import to_instant
from services.gateway.store.resources import Stored
from services.gateway.store.writing import Writing
from services.kernel import fhir
from services.kernel.errors import Violation

Json = dict[str, Any]


async def run(call: Call, bundle: Json) -> Response:
    """Do a transaction Bundle and answer a transaction-response."""
    entries = bundles.read(bundle, f"{call.base_url}/fhir")
    steps = [steps_of.read(call, asked) for asked in bundles.in_order(entries) if not asked.is_read]
    if steps:
        require(call.principal, Action.WRITE)
    for step in steps:
        await steps_of.prepare(call, step)
        await asyncio.sleep(0)  # others get their turn
    async with writes.changing(call) as writing:
        deletions = [step for step in steps if step.asked.method == "DELETE"]
        for step in deletions:
            await at(step, _delete(call, writing, step))
        rest = [step for step in steps if step.asked.method != "DELETE"]
        await steps_of.identify(call, writing, rest, deletions)
        await _patch(call, writing, rest)
        await _relink(call, writing, rest)
        await _save(call, writing, rest)
        for asked in entries:
            if asked.is_read:
                with told(asked.at):
                    await foreseen.require(call, writing, asked)
        seen = [f"{step.kind}/{step.id}" for step in steps if step.id]
        await call.audit("transaction", seen=seen, writing=writing)
    answered = {step.asked.number: _entry(call, step) for step in steps}
    for asked in entries:
        if asked.is_read:
            answered[asked.number] = await dispatch.entry(call, asked)
    return respond("transaction-response", [answered[asked.number] for asked in entries])


def respond(kind: str, entries: Sequence[Json]) -> Response:
    """Return the response Bundle."""
    made: Json = {"resourceType": "Bundle", "id": str(uuid.uuid4()), "type": kind}
    if entries:
        made["entry"] = list(entries)
    headers = {"Cache-Control": "private, no-store"}
    return Response(orjson.dumps(made), headers=headers, media_type=fhir.MEDIA_TYPE)


async def _delete(call: Call, writing: Writing, step: Step) -> None:
    step.done = True
    if step.query:
        found = await matching.one(call, writing, step.kind, step.query)
        if found is None:
            return
        step.id = found[1]
    step.stored = await delete.remove(call, writing, *step.key, step.asked.headers)


async def _patch(call: Call, writing: Writing, steps: Sequence[Step]) -> None:
    for step in steps:
        if step.asked.method != "PATCH" or step.asked.resource is None:
            continue
        is_binary = step.asked.resource["resourceType"] == "Binary"
        read = patch.of_binary if is_binary else patch.of_parameters
        change = await at(step, _made(read, step.asked.resource))
        drafted = patch.drafted(call, writing, step.key, change, step.asked.headers)
        step.draft = await at(step, drafted)


async def _made(read: Any, value: Json) -> patch.Patch:
    made: patch.Patch = read(value)
    return made


async def _relink(call: Call, writing: Writing, steps: Sequence[Step]) -> None:
    """Put the new addresses into every link of every entry."""
    links = references.Links()
    for step in steps:
        if step.asked.full_url:
            links.name(step.asked.full_url, "/".join(step.key))
    await _settle_conditional(call, writing, steps, links)
    problems: list[Violation] = []
    for step in steps:
        if step.draft is None:
            continue
        linked = references.relink(step.draft.resource, links.resolver(step.asked.full_url))
        place = f"{step.asked.at}.resource"
        problems += [
            Violation(path, "no entry of the Bundle has this fullUrl")
            for path, literal in references.literals(linked, place)
            if literal.startswith("urn:uuid:")
        ]
        step.draft.resource = {**linked, "id": step.id}
        step.draft.id = step.id
    if problems:
        raise refused(*problems[:100])


async def _settle_conditional(
    call: Call, writing: Writing, steps: Sequence[Step], links: references.Links
) -> None:
    """Find what each conditional reference means: exactly one resource, stored or in the Bundle."""
    settled: set[str] = set()
    for step in steps:
        if step.draft is None:
            continue
        for path, literal in references.literals(step.draft.resource, f"{step.asked.at}.resource"):
            asked = references.conditional(literal)
            if asked is None or literal in settled:
                continue
            settled.add(literal)
            query = matching.condition(call, *asked)
            found = await matching.one(call, writing, asked[0], query)
            inside = {
                s.key
                for s in steps
                if s.draft
                and s.kind == asked[0]
                and s.key != found
                and matching.meets(query, s.draft.resource)
            }
            keys = inside | ({found} if found else set())
            if len(keys) > 1:
                raise MultipleMatches(f"{path}: several resources meet the conditional reference")
            if not keys:
                raise PreconditionFailed(f"{path}: no resource meets the conditional reference")
            links.settle(literal, "/".join(keys.pop()))


async def _save(call: Call, writing: Writing, steps: Sequence[Step]) -> None:
    left = [step for step in steps if not step.done and step.draft]
    before = await writing.current_many([step.key for step in left])
    for step in left:
        if step.asked.method == "PUT":
            there = before.get(step.key)
            version = there.version if there and not there.deleted else 0
            with told(step.asked.at):
                conditions.require(step.asked.headers, version)
    saved = await writes.save(call, writing, [step.draft for step in left if step.draft])
    by_key: dict[tuple[str, str], Stored] = {}
    for step, (stored, created) in zip(left, saved, strict=True):
        step.stored, step.created = stored, created
        by_key[step.key] = stored
    for step in steps:  # conditional creates that mean another entry's resource
        step.stored = step.stored or by_key.get(step.key)


def _entry(call: Call, step: Step) -> Json:
    """Return what the response Bundle says of a change."""
    header = call.request.headers.get("prefer", "")
    returns = prefer.parse(header).returns if "return=" in header.replace(" ", "") else "minimal"
    stored = step.stored
    if stored is None:  # a delete of what is not there
        return {"response": {"status": "204 No Content"}}
    response: Json = {
        "status": "204 No Content" if stored.deleted else "200 OK",
        "etag": answers.etag(stored.version),
        "lastModified": to_instant(stored.updated_us),
    }
    if stored.deleted:
        return {"response": response}
    response["location"] = answers.address(stored)
    if step.created:
        response["status"] = "201 Created"
    if step.warnings or returns == "OperationOutcome":
        response["outcome"] = answers.told(created=step.created, warnings=step.warnings)
    entry: Json = {"fullUrl": f"{call.base_url}/fhir/{stored.type}/{stored.id}"}
    if returns == "representation":
        entry["resource"] = orjson.Fragment(stored.content)
    return {**entry, "response": response}
