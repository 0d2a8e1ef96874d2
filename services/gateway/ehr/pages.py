"""The pages inside the EHR: the launch's patient, their cases, and nobody else's.

The review itself is the same code as outside (`services.gateway.web`); what differs is who
asks, where the links lead (`Call.root`), and that every case is held against the patient.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable

from starlette.responses import RedirectResponse, Response

from services.gateway.call import Call, form_of
from services.gateway.commit import signer
from services.gateway.ehr.gate import Visit, put_cookie
from services.gateway.fhir.binary_rights import document_id
from services.gateway.progress import Case
from services.gateway.store.ehr_writes import LINKED, Write
from services.gateway.web import pages, review, sight
from services.gateway.web.words import LANGUAGES
from services.gateway.web.worklist import FILTERS, rows_of
from services.kernel import fhir
from services.kernel.errors import Forbidden, NotFound

LANGUAGE_S = 31_536_000
Handler = Callable[[Call, Visit], Awaitable[Response]]


async def worklist(call: Call, visit: Visit) -> Response:
    """Show the patient's cases."""
    return await _worklist(call, visit, "ehr_worklist.html")


async def rows(call: Call, visit: Visit) -> Response:
    """Return the rows alone, for the page to refresh itself."""
    return await _worklist(call, visit, "worklist_rows.html")


async def _worklist(call: Call, visit: Visit, template: str) -> Response:
    asked = call.request.query_params.get("show", "all")
    chosen = asked if asked in FILTERS else "all"
    cases = await sight.cases(call, await cases_of(call, visit))
    await call.audit(
        "view-worklist",
        patient=f"Patient/{visit.launch.patient}",
        seen=[f"Task/{case.case_id}" for case in cases],
    )
    found = await rows_of(call, cases, chosen)
    return pages.render(
        call.request,
        template,
        call=call,
        rows=found,
        chosen=chosen,
        filters=FILTERS,
        label=visit.launch.content["label"],
        writes=await _writes(call, cases),
    )


async def cases_of(call: Call, visit: Visit) -> list[Case]:
    """Return the cases of the launch's patient, newest first."""
    store, patient_hash = call.store, await hash_of(call, visit)
    subject = await store.ehr_writes.subject_of(call.tenant, visit.launch.content["names"])
    ids = await store.ehr_writes.cases_of(call.tenant, patient_hash, subject)
    found = {case.case_id: case for case in await store.cases.get_many(call.tenant, ids)}
    return [found[case_id] for case_id in ids if case_id in found]


async def hash_of(call: Call, visit: Visit) -> str:
    """Return the keyed hash of the launch's patient."""
    return await call.store.ehr.patient_hash(call.tenant, visit.ehr.name, visit.launch.patient)


def of_patient(handler: Callable[[Call], Awaitable[Response]]) -> Handler:
    """Return a page of a case as a page of the launch, which shows its own patient alone."""

    async def run(call: Call, visit: Visit) -> Response:
        await require_theirs(call, visit)
        return await handler(call)

    return run


async def require_theirs(call: Call, visit: Visit) -> Case:
    """Return the case of the address.

    Raises
    ------
    NotFound
        There is none, or it is another patient's.
    """
    case = await sight.case(call)
    write = await call.store.ehr_writes.get(call.tenant, case.case_id)
    if write and write.ehr == visit.ehr.name and write.patient_hash == await hash_of(call, visit):
        return case
    subject = await call.store.ehr_writes.subject_of(call.tenant, visit.launch.content["names"])
    if not subject or case.subject_key != subject:
        raise NotFound("there is no such case of this patient")
    return case


async def sign(call: Call, visit: Visit) -> Response:
    """Sign a case; from here on it is to be in the EHR."""
    case = await require_theirs(call, visit)
    await link(call, visit, case.case_id)
    if user := visit.launch.content["user"]["fhir_user"]:
        hasher = await call.gateway.hasher_for(call.tenant)
        practitioner = signer(hasher, call.principal.name)
        await call.store.ehr_writes.add_signer(call.tenant, case.case_id, practitioner, user)
    return await review.sign(call)


async def ask(call: Call, visit: Visit) -> Response:
    """Have a signed report written to the EHR now, also one that was signed elsewhere."""
    case = await require_theirs(call, visit)
    await link(call, visit, case.case_id)
    step = case.steps.get("signed")
    await call.store.ehr_writes.ask(call.tenant, case.case_id, step.finished_us if step else 0)
    await call.audit("ehr-write", f"Task/{case.case_id}", case_id=case.case_id)
    return RedirectResponse(f"{call.root}/cases/{case.case_id}", 303)


async def link(call: Call, visit: Visit, case_id: str, sent: list[str] | None = None) -> None:
    """Note that a case is about the launch's patient at the EHR.

    Parameters
    ----------
    sent : "Type/id" of what the EHR has itself, so that a report may refer to it
    """
    if visit.ehr.write_back == "none" and sent is None:
        return
    content = {
        "patient": visit.launch.patient,
        "encounter": visit.launch.content["encounter"],
        "user": visit.launch.content["user"]["fhir_user"],
        "sent": sent or [f"Patient/{visit.launch.patient}"],
    }
    patient_hash = await hash_of(call, visit)
    await call.store.ehr_writes.link(call.tenant, case_id, visit.ehr.name, patient_hash, content)


async def pdf(call: Call, visit: Visit) -> Response:
    """Return the report's PDF, to be saved.

    Raises
    ------
    Forbidden
        It shows what is labelled. It is one document, signed as it is: none is made without that.
    """
    case = await require_theirs(call, visit)
    if await sight.withholds_document(call, case):
        raise Forbidden(
            "the PDF shows what is labelled restricted; the report's page leaves that out",
            reason="DOCUMENT_RESTRICTED",
        )
    return await _saved(call, case, "Binary", document_id(case.case_id), "pdf")


async def json(call: Call, visit: Visit) -> Response:
    """Return the report's FHIR JSON, to be saved."""
    case = await require_theirs(call, visit)
    kind, _, report_id = str(case.label.get("report", "")).partition("/")
    if not report_id:
        raise NotFound("there is no report yet")
    return await _saved(call, case, kind, report_id, "json")


async def _saved(call: Call, case: Case, kind: str, resource_id: str, form: str) -> Response:
    found = await call.store.resources.read(call.tenant, kind, resource_id)
    if found.case_id != case.case_id:
        raise NotFound("there is no such document of this case")
    await call.audit("read", f"{kind}/{resource_id}", case_id=case.case_id)
    content = found.content
    if form == "pdf":
        content = base64.b64decode(fhir.parse(content).get("data", ""))
    name = f'attachment; filename="{case.case_id}.{form}"'
    media_type = "application/pdf" if form == "pdf" else "application/fhir+json"
    return Response(content, headers={"Content-Disposition": name}, media_type=media_type)


async def end(call: Call, visit: Visit) -> Response:
    """End the session; reports on their way to the EHR still go."""
    await call.store.ehr.end(visit.launch.launch_id)
    await call.audit("sign-out")
    return pages.render(call.request, "ehr_ended.html", root=call.root)


async def set_language(call: Call, visit: Visit) -> Response:
    """Remember the language, in a cookie that the EHR's frame keeps, and go back."""
    form = await form_of(call.request)
    target, language = str(form.get("next", "")), str(form.get("language", ""))
    inside = target.startswith(f"{call.root}/") and pages.safe_target(target) == target
    answer = RedirectResponse(target if inside else f"{call.root}/worklist", 303)
    if language in LANGUAGES:
        put_cookie(answer, pages.LANGUAGE_COOKIE, language, call.root, LANGUAGE_S)
    return answer


async def _writes(call: Call, cases: list[Case]) -> list[tuple[str, Write]]:
    """Return what is written back, or was, of these cases."""
    ids = [case.case_id for case in cases]
    found = await call.store.ehr_writes.get_many(call.tenant, ids)
    return [(write.case_id, write) for write in found if write.state != LINKED]
