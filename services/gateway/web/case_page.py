"""The case: key images, findings, results, notes, and the review under them."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from services.gateway.call import Call
from services.gateway.conclusion import lines_of
from services.gateway.progress import Case, to_instant
from services.gateway.store.reports import Review
from services.gateway.web import corrected, critical, pages, sight
from services.gateway.web.reading import Reading, read
from services.gateway.web.worklist import make_row
from services.kernel import fhir
from services.kernel.errors import InvalidInput, NotFound

KEYS = ("1…9", "a", "d", "e", "o", "n", "p", "r", "s", "w", "Esc", "?")
"""Shortcuts of the case page, as `?` lists them."""
VIEWER_KEYS = ("v", "f", "↑↓", "[ ]", "x", "b", "c")
"""Those of the viewer, where there are images to show."""


@dataclass(frozen=True, slots=True)
class ReviewState:
    """What the review form shows."""

    locked: bool
    """A signed version is shown; nothing can be changed."""
    version: int
    draft: dict[str, Any]
    last: Review | None
    """The signature that stands; None before the first."""
    newer: int
    """A version that came after the signature and waits; 0: none."""
    amends_us: int
    """When the signature under this version was given, µs; 0: it has none."""
    problem: str


async def case_page(call: Call) -> Response:
    """Show a case: the version that waits for a signature, or the one that is signed."""
    case = await sight.case(call)
    amending = "amend" in call.request.query_params
    version = case.held_version if amending and case.held_version else case.report_version
    return await show(call, case, version, amending=amending)


async def show(
    call: Call,
    case: Case,
    version: int,
    *,
    amending: bool = True,
    problem: str = "",
    status: int = 200,
) -> Response:
    """Return the page of one version of a case."""
    patient = case.label.get("patient_reference", "")
    await call.audit("view-case", f"Task/{case.case_id}", patient=patient, case_id=case.case_id)
    row = make_row(case, case.updated_us)
    told = await critical.of_case(call, case)
    if not version:
        steps, joined = case.ordered(), await corrected.of_case(call, case, {})
        return pages.render(
            call.request,
            "case_waiting.html",
            call=call,
            case=case,
            row=row,
            steps=steps,
            told=told,
            joined=joined,
        )
    bundle = await seen_version(call, case, version)
    reading = await corrected.marked(call, case, bundle, read(bundle))
    locked = bool(case.signed_version) and not amending
    if locked:
        reading = await _signed(call, reading)
    review = await _state(call, case, version, locked, problem)
    viewable = await has_images(call, case.case_id)
    return pages.render(
        call.request,
        "case.html",
        call=call,
        status=status,
        case=case,
        row=row,
        told=told,
        joined=await corrected.of_case(call, case, bundle),
        reading=reading,
        review=review,
        signed_at=to_instant(review.last.signed_us) if review.last else "",
        keys=(*KEYS, *VIEWER_KEYS) if viewable else KEYS,
        viewable=viewable,
        document=not await sight.withholds_document(call, case),
        write=await call.store.ehr_writes.get(call.tenant, case.case_id),
    )


async def _state(call: Call, case: Case, version: int, locked: bool, problem: str) -> ReviewState:
    reviews = await call.store.reports.reviews(call.tenant, case.case_id)
    signed = [review for review in reviews if review.signed_us]
    last = max(signed, key=lambda review: review.signed_us, default=None)
    draft = await call.store.reports.draft(call.tenant, case.case_id, call.principal.name)
    draft = draft or (last.content if last else {})
    return ReviewState(
        locked,
        version,
        last.content if locked and last else draft,
        last,
        case.held_version,
        case.signed_us(version),
        problem,
    )


async def has_images(call: Call, case_id: str) -> bool:
    """Tell whether the viewer has something to show to who asks."""
    return call.gateway.archive is not None and bool(await sight.series(call, case_id))


async def seen_version(call: Call, case: Case, version: int) -> dict[str, Any]:
    """Return what may be shown of a composed version."""
    return await sight.bundle(
        call, await call.store.reports.composed(call.tenant, case.case_id, version)
    )


async def read_version(call: Call, case: Case, version: int) -> Reading:
    """Return a composed version as the page shows it."""
    return read(await seen_version(call, case, version))


async def _signed(call: Call, reading: Reading) -> Reading:
    """Return the reading with the conclusion as it was signed."""
    stored = await call.store.resources.read(call.tenant, "DiagnosticReport", reading.report_id)
    conclusion = str(fhir.parse(stored.content).get("conclusion", ""))
    return replace(reading, conclusion=lines_of(conclusion))


async def image(call: Call) -> Response:
    """Return a key image of a composed version, PNG."""
    case = await sight.case(call)
    number, wanted = call.path("version"), call.path("image")
    if not re.fullmatch(r"[0-9]{1,6}", number):
        raise InvalidInput("not a version", reason="BAD_REQUEST")
    bundle = await call.store.reports.composed(call.tenant, case.case_id, int(number))
    bundle = await sight.bundle(call, bundle)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Binary" and resource["id"] == wanted:
            if resource["contentType"] != "image/png":
                break
            content = await asyncio.to_thread(base64.b64decode, resource["data"])
            # A version never changes, so the browser may keep the image for the session.
            headers = {"Cache-Control": "private, max-age=3600", "Vary": "Cookie"}
            return Response(content, headers=headers, media_type="image/png")
    raise NotFound("there is no such image")
