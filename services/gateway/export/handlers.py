"""$export over HTTP: kick-off, status, the files, and the end (Bulk Data 2, Request Flow)."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from email.utils import format_datetime

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.export.job import DONE, FAILED, RUNNING, File, Job, manifest, may_read, said
from services.gateway.export.request import GROUP, NDJSON, PATIENT, SYSTEM, Asked, pairs_of, parse
from services.gateway.fhir import allowed, answers, content, prefer
from services.gateway.store.audit import AuditEntry
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, MeshError, NotFound, Violation

OF_TENANT_MAX, OF_OWNER_MAX = 4, 2
POLL_S = 5
PARAMETERS_BYTES_MAX = 256 << 10


class ExportFailed(MeshError):
    """The job ended with an error; it can be asked for again."""


class Entries:
    """Audit entries that are committed with the job they tell of."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def audit(self, entry: AuditEntry) -> None:
        """Keep an entry."""
        self.entries.append(entry)


async def of_system(call: Call) -> Response:
    """Begin an export of everything the caller may read."""
    return await _kick_off(call, SYSTEM, "")


async def of_patients(call: Call) -> Response:
    """Begin an export of what is in patients' compartments."""
    return await _kick_off(call, PATIENT, "Patient")


async def of_group(call: Call) -> Response:
    """Begin an export of the patients who are members of a Group."""
    group = content.id_of(call.path("id"), "Group")
    return await _kick_off(call, GROUP, f"Group/{group}")


async def _kick_off(call: Call, level: str, resource: str) -> Response:
    preferences = prefer.parse(call.request.headers.get("prefer", ""))
    if not preferences.respond_async:
        problem = Violation("http.Prefer", "an export needs `Prefer: respond-async`")
        raise InvalidInput("an export is asynchronous", [problem], reason="BAD_REQUEST")
    answers.accept_json(call.request)
    asked = parse(level, await _pairs(call), lenient=preferences.lenient)
    rights = call.principal.rights
    for kind in asked.kinds or (["Patient"] if level != SYSTEM else []):
        rights.covering(kind, "r")
        rights.covering(kind, "s")
    if level == GROUP:
        asked = await _of_members(call, asked)
    exports, tenant = call.store.exports, call.tenant
    seq, transaction_us = await exports.snapshot(tenant)
    job = Job(
        tenant=tenant,
        id=secrets.token_urlsafe(24).replace("_", "-").strip("-") + "x",
        owner=await _owner(call),
        status=RUNNING,
        seq=seq,
        transaction_us=transaction_us,
        created_us=time.time_ns() // 1000,
        expires_us=0,
        url=f"{call.base_url}{trail.query_of(call.request)}",
        asked=asked,
        rights=rights,
    )
    patients = [f"Patient/{each}" for each in asked.patients or ()]
    query, journal = trail.query_of(call.request), Entries()
    await call.audit("$export", resource, patient=patients, query=query, writing=journal)
    limits = {"of_tenant_max": OF_TENANT_MAX, "of_owner_max": OF_OWNER_MAX}
    try:
        await exports.create(job, journal.entries, **limits)
    except BaseException:
        call.audited = False  # that entry is gone with its transaction
        raise
    call.gateway.exports.wanted.set()
    headers = {"Content-Location": f"{call.base_url}/fhir/$export-status/{job.id}"}
    return Response(status_code=202, headers=headers)


async def status(call: Call) -> Response:
    """Answer how far a job is: 202, or 200 with its manifest."""
    job = await _own(call)
    if job.status == RUNNING:
        headers = {"X-Progress": said(job), "Retry-After": str(POLL_S)}
        return Response(status_code=202, headers={**headers, "Cache-Control": "no-store"})
    if job.status == FAILED:
        raise ExportFailed("the export failed; ask for it again", reason=job.reason or "FAILED")
    await call.audit("$export-status")
    expires = datetime.fromtimestamp(job.expires_us / 1e6, UTC)
    headers = {
        "Expires": format_datetime(expires, usegmt=True),
        "Cache-Control": "private, no-store",
    }
    document = fhir.dump(manifest(job, call.base_url))
    return Response(document, headers=headers, media_type="application/json")


async def cancel(call: Call) -> Response:
    """End a job, running or done: its key and its files go."""
    job = await _own(call)
    await call.store.exports.cancel(job.tenant, job.id)
    await call.gateway.exports.blobs.vault.destroy(job.tenant, job.scope)
    await call.audit("$export-cancel")
    call.gateway.exports.wanted.set()
    return Response(status_code=202)


async def file(call: Call) -> Response:
    """Answer a file to the client that asked for it, while it may still read what is in it."""
    job = await _own(call)
    name = call.path("name")
    found = next((each for each in job.progress.files if each.name == name), None)
    if found is None or job.status != DONE:
        raise NotFound("there is no such file")
    kind = _kind_in(found)
    if not may_read(call.principal.rights, job.rights, kind):
        raise Forbidden(
            f"what may be read of {kind} is less than when the export was made",
            reason="INSUFFICIENT_SCOPE",
        )
    ref = BlobRef(scope=job.scope, name=found.name, size=found.size, sha256=found.sha256)
    lines = await call.gateway.exports.blobs.get(job.tenant, ref)
    await call.audit("$export-file", kind, query=trail.query_of(call.request))
    headers = {"Cache-Control": "private, no-store"}
    return Response(lines, headers=headers, media_type=NDJSON)


def _kind_in(found: File) -> str:
    """Return the type that a file tells of: its lines', or the one that was deleted."""
    return found.kind if found.role == "output" else found.name.split("-")[1]


async def _pairs(call: Call) -> list[tuple[str, str]]:
    pairs = list(call.request.query_params.multi_items())
    if call.request.method == "POST" and content.media_type(call):
        _, value = await content.read_json(call, PARAMETERS_BYTES_MAX)
        content.require_type(value, "Parameters")
        pairs += pairs_of(value)
    return pairs


async def _of_members(call: Call, asked: Asked) -> Asked:
    """Return the export for the members of the Group, those it names besides `patient`.

    Raises
    ------
    NotFound
        No such Group, or not one that the caller may read.
    """
    rights = call.principal.rights
    rights.covering("Group", "r")
    stored = await call.store.resources.read(call.tenant, "Group", call.path("id"))
    allowed.require_seen(rights.visibility("r"), stored)
    listed = fhir.parse(stored.content).get("member", [])
    references = [
        str(member.get("entity", {}).get("reference", ""))
        for member in listed
        if not member.get("inactive")
    ]
    ids = [text.rpartition("Patient/")[2].partition("/")[0] for text in references]
    patients = {i for i, text in zip(ids, references, strict=True) if "Patient/" in text}
    if asked.patients is not None:
        patients &= set(asked.patients)
    return Asked(
        asked.level,
        asked.kinds,
        asked.since_us,
        asked.until_us,
        asked.elements,
        asked.filters,
        tuple(sorted(patients)),
    )


async def _own(call: Call) -> Job:
    """Return the job in the address.

    Raises
    ------
    NotFound
        There is none, or it is another client's: the same answer.
    """
    job = await call.store.exports.get(call.tenant, call.path("job"))
    if job.owner != await _owner(call):
        raise NotFound("there is no such export; it was deleted or has expired")
    return job


async def _owner(call: Call) -> str:
    principal = call.principal
    return await call.store.exports.owner(call.tenant, principal.name, principal.client_id)
