"""A physician's review: kept as a draft while it is written, then signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dxmesh.event.v1 import feedback_given_pb2
from dxmesh.event.v1.report_signed_pb2 import ReportSigned
from dxmesh.reporting.v1.reporting_service_pb2 import (
    FindingVerdict,
    SignReportRequest,
    SignReportResponse,
)
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from services.gateway.call import Call, form_of
from services.gateway.commit import signer
from services.gateway.progress import Case, case_ref, language_tag, to_instant
from services.gateway.signing import AGREE, DISAGREE, EDIT, VERDICTS
from services.gateway.store.reports import Review
from services.gateway.web import case_page, markings, pages, session, sight
from services.gateway.web.reading import Reading, finding_texts, read
from services.gateway.web.words import Words
from services.kernel import fhir
from services.kernel.errors import Conflict, InvalidInput, Unavailable

TEXT_CHARS_MAX = 4000
_NUMBERS = {
    AGREE: feedback_given_pb2.VERDICT_AGREE,
    DISAGREE: feedback_given_pb2.VERDICT_DISAGREE,
    EDIT: feedback_given_pb2.VERDICT_EDIT,
}

Content = dict[str, Any]


async def save_draft(call: Call) -> Response:
    """Keep what was written so far; answers with a line that says when."""
    form = await form_of(call.request)
    case = await sight.case(call)
    version = _version(form)
    when_us = await call.store.reports.save_draft(
        call.tenant, case.case_id, call.principal.name, version, read_form(form)
    )
    return pages.render(call.request, "saved.html", call=call, when=to_instant(when_us))


async def sign(call: Call) -> Response:
    """Check verdicts and password, have reporting sign, store the signed report."""
    form = await form_of(call.request)
    case = await sight.case(call)
    version, content = _version(form), read_form(form)
    if version != (case.held_version or case.report_version):
        raise Conflict("a later version of the report has come", reason="VERSION_CHANGED")
    if _number(form, "amends", "0") != case.signed_us(version):
        raise Conflict("the report was signed meanwhile", reason="VERSION_CHANGED")
    await call.store.reports.save_draft(
        call.tenant, case.case_id, call.principal.name, version, content
    )
    composed = await call.store.reports.composed(call.tenant, case.case_id, version)
    reading = read(await sight.bundle(call, composed))
    t = pages.words(call.request)
    # A signature answers for every finding: reporting takes none that leaves one out.
    if hidden := len(finding_texts(composed)) - len(reading.findings):
        text = t("sign.hidden", count=hidden)
        return await case_page.show(call, case, version, problem=text, status=403)
    if missing := unanswered(reading, content):
        text = t("sign.missing", count=len(missing))
        return await case_page.show(call, case, version, problem=text, status=422)
    if not await _confirmed(call, str(form.get("password", ""))):
        text = t("sign.wrong" if call.proof == "password" else "sign.toolate")
        return await case_page.show(call, case, version, problem=text, status=403)
    await _sign(call, case, version, content, reading)
    return RedirectResponse(f"{call.root}/cases/{case.case_id}", 303)


async def _confirmed(call: Call, password: str) -> bool:
    """Tell whether who signs has proved anew who they are; a launch by an EHR is such a proof."""
    if call.proof != "password":
        return call.proof == "launch"
    name = f"{call.tenant}/{call.principal.name}"
    return await session.check_password(call.gateway, name, password) is not None


async def _sign(call: Call, case: Case, version: int, content: Content, reading: Reading) -> None:
    hasher = await call.gateway.hasher_for(call.tenant)
    earlier = [
        r for r in await call.store.reports.reviews(call.tenant, case.case_id) if r.signed_us
    ]
    nonce = (case.case_id, str(version), call.principal.name, str(len(earlier)))
    # The same review sent twice, by a double click or after an outage, is one signature.
    request_id = hasher("review", *nonce, fhir.dump(content).decode())[:32]
    judged = {f.id: _worded(content["verdicts"][f.id], case) for f in reading.findings}
    kept = content | {
        "verdicts": judged,
        "display": call.principal.display,
        "practitioner": call.principal.practitioner,
        "language": language_tag(case.language),
    }
    review = Review(request_id, version, signer(hasher, call.principal.name), 0, kept)
    await call.store.reports.add_review(call.tenant, case.case_id, review)
    answer = await call.gateway.peers.sign(await _request(call, case, review, reading))
    await call.audit("sign", f"Task/{case.case_id}", case_id=case.case_id)
    await _store(call, case, review, answer)
    await call.store.reports.drop_draft(call.tenant, case.case_id, call.principal.name)


def _worded(given: dict[str, Any], case: Case) -> dict[str, Any]:
    """Return a verdict, in words also where the physician only drew."""
    if given["verdict"] != EDIT:
        return {key: value for key, value in given.items() if key != "marking"}
    moved = "marking" in given and not given.get("correction")
    words = Words(language_tag(case.language))
    return given | {"correction": words("marking.moved")} if moved else given


async def _store(call: Call, case: Case, review: Review, answer: SignReportResponse) -> None:
    event = ReportSigned(
        case=case_ref(case),
        version=review.version,
        signer=review.signer,
        signed_time=answer.signed_time,
        amendment=answer.amendment,
    )
    try:
        await call.gateway.committer.signed(event)
    except Unavailable:
        return  # the signature stands; `report.signed` brings it to the store


async def _request(call: Call, case: Case, review: Review, reading: Reading) -> SignReportRequest:
    """Return the request, with identity removed from what the physician wrote."""
    request = SignReportRequest(
        tenant=call.tenant,
        case_id=case.case_id,
        version=review.version,
        signer=review.signer,
        request_id=review.request_id,
    )
    if amended := case.signed_us(review.version):
        request.amends_time.FromMicroseconds(amended)
    peers = call.gateway.peers
    uids = await _uids(call, case, review.content)
    comment = await peers.redact(call.tenant, case.case_id, review.content["comment"])
    for finding in reading.findings:
        given = review.content["verdicts"][finding.id]
        correction = ""
        if given["verdict"] == EDIT:
            correction = await peers.redact(call.tenant, case.case_id, given["correction"])
        verdict = FindingVerdict(
            finding_id=finding.id,
            verdict=_NUMBERS[given["verdict"]],
            correction=correction,
            comment=comment,
            model_name=finding.model_name,
            model_version=finding.model_version,
        )
        if "marking" in given:
            verdict.marking.CopyFrom(markings.to_models(given["marking"], uids))
        request.verdicts.append(verdict)
    added = review.content["added"]
    texts = [await peers.redact(call.tenant, case.case_id, one["text"]) for one in added]
    request.added.extend(markings.to_request(added, texts, uids))
    return request


async def _uids(call: Call, case: Case, content: Mapping[str, Any]) -> Mapping[str, str]:
    """Return UID of the analysis zone → UID of the hospital, where something was drawn."""
    drawn = content["added"] or any("marking" in v for v in content["verdicts"].values())
    if not drawn:
        return {}
    if call.gateway.archive is None:
        raise InvalidInput("no image of this case is held here", reason="NO_ARCHIVE")
    return (await call.gateway.archive.identity_of(call.tenant, case.case_id)).uids


def read_form(form: FormData) -> Content:
    """Return verdicts by finding, and the comment, as they were sent.

    Raises
    ------
    InvalidInput
        A verdict that does not exist, or a text over the limit.
    """
    verdicts: dict[str, dict[str, Any]] = {}
    for name, value in form.multi_items():
        kind, _, finding = name.partition(":")
        if kind == "verdict" and finding and value in VERDICTS:
            verdicts.setdefault(finding, {})["verdict"] = str(value)
        elif kind == "correction" and finding and str(value).strip():
            verdicts.setdefault(finding, {})["correction"] = _text(str(value))
        elif kind == "marking":
            markings.moved(name, str(value), verdicts)
    added = markings.added((name, str(value)) for name, value in form.multi_items())
    comment = _text(str(form.get("comment", "")))
    return {"verdicts": verdicts, "comment": comment, "added": added}


def unanswered(reading: Reading, content: Mapping[str, Any]) -> list[str]:
    """Return the findings without a verdict, or to be edited without a correction."""
    missing: list[str] = []
    for finding in reading.findings:
        given = content["verdicts"].get(finding.id, {})
        verdict = given.get("verdict")
        said = given.get("correction") or given.get("marking")
        if not verdict or (verdict == EDIT and not said):
            missing.append(finding.id)
    return missing


def _text(text: str) -> str:
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidInput(f"a text is over {TEXT_CHARS_MAX} characters", reason="TOO_LONG")
    return text.strip()


def _version(form: FormData) -> int:
    return _number(form, "version")


def _number(form: FormData, name: str, absent: str = "") -> int:
    text = str(form.get(name, absent))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidInput(f"the {name} is missing", reason="BAD_REQUEST")
    return int(text)
