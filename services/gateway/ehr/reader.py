"""Reading a patient's chart at the EHR: what the scopes grant, in pages, with limits.

One type that cannot be read does not hide the others; the page says which is missing.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from services.gateway.ehr import chart, scopes
from services.gateway.ehr.chart import Chart, Part
from services.gateway.ehr.client import EhrClient, EhrRefused, refused
from services.gateway.ehr.tokens import Tokens
from services.kernel import fhir, telemetry
from services.kernel.errors import Forbidden, MeshError, TooLarge, as_outage

log = logging.getLogger(__name__)

PAGE = 50
PAGES_MAX = 4
READ_S = 25.0
"""How long the reading of one type may take, all its pages together."""
ENDPOINTS_MAX = 10
NOTE_BYTES_MAX = 1 << 20

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One search; `{patient}` is filled in."""

    kind: str
    query: str
    sort: str = ""
    """Asked for as well; left out when the EHR does not take it."""


WANTED = (
    Wanted("Consent", "patient={patient}"),
    Wanted("ServiceRequest", "patient={patient}", "-authored"),
    Wanted("Observation", "patient={patient}&category=laboratory", "-date"),
    Wanted("DocumentReference", "patient={patient}", "-date"),
    Wanted("ImagingStudy", "patient={patient}", "-started"),
)


async def read_chart(client: EhrClient, held: Tokens, patient_id: str) -> Chart:
    """Return what the EHR shows of a patient.

    Raises
    ------
    EhrRefused, Unavailable
        The patient itself cannot be read.
    """
    patient = await client.get(f"Patient/{patient_id}", held.access)
    if (patient.get("resourceType"), patient.get("id")) != ("Patient", patient_id):
        raise Forbidden("the EHR shows another patient", reason="EHR_PATIENT")
    parts = await asyncio.gather(*(_part(client, held, w, patient_id) for w in WANTED))
    found = Chart(patient, {part.kind: part for part in parts})
    return Chart(patient, found.parts, await _endpoints(client, held, found.of("ImagingStudy")))


async def with_content(client: EhrClient, held: Tokens, document: Mapping[str, Any]) -> Json:
    """Return a DocumentReference whose text attachments are inline.

    Raises
    ------
    EhrRefused, Unavailable, TooLarge
    """
    contents: list[Json] = []
    for content in document.get("content", []):
        attachment = dict(content.get("attachment", {}))
        kind = str(attachment.get("contentType") or "").partition(";")[0].strip().lower()
        if kind in chart.TEXT_TYPES and "data" not in attachment and attachment.get("url"):
            kind, data = await _binary(client, held, str(attachment.pop("url")))
            attachment.setdefault("contentType", kind)
            attachment["data"] = data
            # Both may be of another form of the content than the one we were given.
            attachment.pop("hash", None)
            attachment.pop("size", None)
        contents.append({**content, "attachment": attachment})
    return {**document, "content": contents}


async def _binary(client: EhrClient, held: Tokens, url: str) -> tuple[str, str]:
    """Return content type and base64 of a Binary, sent as a resource or as its content."""
    answer = await client.send("GET", url, held.access)
    if answer.status != 200:
        raise refused(answer)
    if len(answer.content) > NOTE_BYTES_MAX * 2:
        raise TooLarge("a note is too large", reason="NOTE_TOO_LONG")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in (fhir.MEDIA_TYPE, "application/json"):
        resource = await asyncio.to_thread(fhir.parse, answer.content)
        if isinstance(resource, dict) and resource.get("resourceType") == "Binary":
            return str(resource.get("contentType", "")), str(resource.get("data", ""))
    return kind, base64.b64encode(answer.content).decode()


async def _part(client: EhrClient, held: Tokens, wanted: Wanted, patient_id: str) -> Part:
    """Return the resources of one type; an error is a part that failed."""
    if not (held.scope == "" or scopes.allows(held.scope, wanted.kind, "s")):
        return Part(wanted.kind, chart.NOT_GRANTED)
    try:
        async with asyncio.timeout(READ_S):
            resources, whole = await _search(client, held, wanted, patient_id)
    except MeshError as error:
        slow = error.reason == "UNAVAILABLE"
        return Part(wanted.kind, chart.FAILED, "EHR_SLOW" if slow else error.reason)
    except Exception as error:  # noqa: BLE001 - the others are shown all the same
        if as_outage(error) is None:
            log.error("reading an EHR failed: %s", telemetry.frames(error))
        return Part(wanted.kind, chart.FAILED, "EHR_SLOW")
    if not all(chart.is_about(r, client.ehr.issuer, patient_id) for r in resources):
        telemetry.failure("gateway.ehr", "EHR_OTHER_PATIENT")
        return Part(wanted.kind, chart.FAILED, "EHR_OTHER_PATIENT")
    return Part(wanted.kind, chart.READ if whole else chart.CUT, "", resources)


async def _search(
    client: EhrClient, held: Tokens, wanted: Wanted, patient_id: str
) -> tuple[list[Json], bool]:
    """Return resources, and whether these are all."""
    query = wanted.query.format(patient=quote(patient_id, safe=""))
    first = f"{wanted.kind}?{query}&_count={PAGE}"
    try:
        page = await client.get(
            f"{first}&_sort={wanted.sort}" if wanted.sort else first, held.access
        )
    except EhrRefused as error:
        if not wanted.sort or error.status not in (400, 422, 501):
            raise
        page = await client.get(first, held.access)
    found: list[Json] = []
    for number in range(1, PAGES_MAX + 1):
        entries = [entry.get("resource", {}) for entry in page.get("entry", [])]
        found += [r for r in entries if r.get("resourceType") == wanted.kind and r.get("id")]
        link = next((e for e in page.get("link", []) if e.get("relation") == "next"), None)
        if link is None:
            return found, True
        if number < PAGES_MAX:
            page = await client.get(str(link.get("url", "")), held.access)
    return found, False


async def _endpoints(
    client: EhrClient, held: Tokens, studies: Sequence[Mapping[str, Any]]
) -> dict[str, Json]:
    """Return the Endpoints that studies name; one that cannot be read is left out."""
    references = [
        str(endpoint.get("reference", "")).removeprefix(f"{client.ehr.issuer}/")
        for study in studies
        for endpoint in study.get("endpoint", [])
    ]
    wanted = [r for r in dict.fromkeys(references) if r.startswith("Endpoint/")][:ENDPOINTS_MAX]

    async def one(reference: str) -> tuple[str, Json]:
        try:
            return reference, await client.get(reference, held.access)
        except MeshError:
            return reference, {}

    return {key: value for key, value in await asyncio.gather(*map(one, wanted)) if value}
