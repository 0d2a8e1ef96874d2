"""A case made of the EHR's own data: GET shows what there is, POST submits what was chosen.

What is sent was read from the EHR when it was sent; the page only names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response

from services.gateway.call import Call, form_of
from services.gateway.ehr import bundle, chart, grants, images, reader
from services.gateway.ehr.chart import Chart
from services.gateway.ehr.client import EhrRefused
from services.gateway.ehr.gate import Visit
from services.gateway.ehr.pages import link
from services.gateway.ehr.tokens import Tokens
from services.gateway.fhir import outcome, submit
from services.gateway.web import pages
from services.gateway.web.words import LANGUAGES
from services.kernel import fhir
from services.kernel.errors import InvalidInput, MeshError, Violation

CHOSEN_MAX = 500
NOTES_AT_ONCE = 4


async def page(call: Call, visit: Visit) -> Response:
    """Show the chart to choose from."""
    found, _ = await _read(call, visit)
    await _audit(call, visit, found)
    return _page(call, visit, found)


async def send(call: Call, visit: Visit) -> Response:
    """Submit what was chosen."""
    form = await form_of(call.request)
    order = str(form.get("order", ""))
    chosen = {str(value) for value in form.getlist("use")[:CHOSEN_MAX]}
    found, held = await _read(call, visit)
    try:
        documents = [d for d in found.of("DocumentReference") if _reference(d) in chosen]
        notes = await _with_content(visit, held, documents)
        language = str(form.get("language", ""))
        built = bundle.build(
            visit.ehr.issuer,
            found,
            order,
            chosen,
            notes,
            language=language if language in LANGUAGES else "en",
            priority=str(form.get("priority", "")),
        )
        await _images(call, visit, held, found, chosen)
        accepted = await submit.accept(call, await asyncio.to_thread(fhir.dump, built))
    except MeshError as error:
        if error.retry_after_s is not None and not isinstance(error, EhrRefused):
            raise
        await _audit(call, visit, found, error)
        return _page(call, visit, found, error)
    case_id = accepted.case.case_id
    await link(call, visit, case_id, bundle.references(built))
    return RedirectResponse(f"{call.root}/cases/{case_id}", 303)


async def _read(call: Call, visit: Visit) -> tuple[Chart, Tokens]:
    """Return the chart; an access token that the EHR does not take is refreshed once."""
    held = await grants.current(call.store.ehr, visit.client, visit.launch)
    try:
        return await reader.read_chart(visit.client, held, visit.launch.patient), held
    except EhrRefused as error:
        if error.status != 401:
            raise
    held = await grants.current(call.store.ehr, visit.client, visit.launch, force=True)
    return await reader.read_chart(visit.client, held, visit.launch.patient), held


async def _with_content(
    visit: Visit, held: Tokens, documents: Sequence[chart.Json]
) -> list[dict[str, object]]:
    turns = asyncio.Semaphore(NOTES_AT_ONCE)

    async def one(document: chart.Json) -> dict[str, object]:
        async with turns:
            try:
                return await reader.with_content(visit.client, held, document)
            except EhrRefused as error:
                if error.retry_after_s is not None:
                    raise
                which = Violation(_reference(document), error.reason)
                raise InvalidInput(
                    "the EHR does not give a note's content", [which], reason="NOTE_UNREADABLE"
                ) from error

    return list(await asyncio.gather(*map(one, documents)))


async def _images(call: Call, visit: Visit, held: Tokens, found: Chart, chosen: set[str]) -> None:
    """Fetch the images of the chosen studies that the EHR's archive has."""
    for reference, address in images.retrievable(visit.client, found).items():
        if reference in chosen:
            await images.retrieve(call.gateway, visit.client, held, address)


async def _audit(call: Call, visit: Visit, found: Chart, error: MeshError | None = None) -> None:
    seen = [_reference(r) for part in found.parts.values() for r in part.resources]
    if not call.audited:
        patient = f"Patient/{visit.launch.patient}"
        await call.audit("ehr-chart", patient, patient=patient, seen=seen, outcome=error)


def _page(call: Call, visit: Visit, found: Chart, error: MeshError | None = None) -> Response:
    retrievable = images.retrievable(visit.client, found)
    consents = chart.consents(found)
    violations: Sequence[Violation] = getattr(error, "violations", ())
    return pages.render(
        call.request,
        "ehr_submit.html",
        call=call,
        status=outcome.http_status(error) if error else 200,
        label=visit.launch.content["label"],
        chart=found,
        consents=consents,
        ready=any(item.usable for item in consents),
        orders=chart.orders(found),
        results=chart.results(found),
        notes=chart.notes(found),
        studies=chart.studies(found, retrievable),
        priorities=bundle.PRIORITIES,
        problem=error.reason if error else "",
        violations=violations[:10],
    )


def _reference(resource: chart.Json) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"
