"""What a physician is asked, one page after the other: patient, encounter, consent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response

from services.gateway.access import scopes
from services.gateway.access.gate import COOKIE
from services.gateway.access.principal import Principal
from services.gateway.call import Call
from services.gateway.commit import signer
from services.gateway.signing import Signature, practitioner
from services.gateway.smart import choices, trails, wording
from services.gateway.smart.asked import Asked, SentBack
from services.gateway.smart.choices import Choice
from services.gateway.smart.server import Server
from services.gateway.store.smart_grants import CODE_S, Approval
from services.gateway.store.smart_sealed import hashed
from services.gateway.web import pages

NONE = "-"
"""What the picker sends for "no encounter"."""
Answers = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Context:
    """What the app is opened with."""

    patient: Choice | None = None
    encounter: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)


async def next_page(call: Call, server: Server, asked: Asked, answers: Answers) -> Response | str:
    """Return the next page, or the code when everything is answered.

    Raises
    ------
    SentBack
    """
    if _one(answers, "decision") == "deny":
        await trails.record_of(
            call.request, server, _with_client(call, asked), "authorize", succeeded=False
        )
        raise SentBack("access_denied", "the physician did not allow it")
    said = await _launched(call, server, asked)
    patient_id = said.get("patient") or _one(answers, "patient")
    patient = await choices.patient(call, patient_id) if patient_id else None
    if asked.needs_patient or said.get("patient"):
        if patient is None:
            return await _pick_patient(call, asked, _one(answers, "q"))
        encounter = said.get("encounter") or _one(answers, "encounter")
        open_choice = asked.needs_encounter and not encounter and not asked.launch
        if open_choice and (found := await choices.encounters(call, patient.id)):
            return await _pick_encounter(call, asked, patient, found)
        context = Context(patient, "" if encounter == NONE else encounter, said)
    else:
        context = Context(more=said)
    if context.encounter and not said.get("encounter"):
        known = await choices.encounters(call, patient.id) if patient else []
        if context.encounter not in {each.id for each in known}:
            raise SentBack("invalid_request", "the encounter is not the patient's")
    return await _consent(call, server, asked, answers, context)


async def _launched(call: Call, server: Server, asked: Asked) -> dict[str, Any]:
    """Return what the EHR said of this launch.

    Raises
    ------
    SentBack
    """
    if not asked.launch:
        return {}
    said = await server.store.launches.find(call.tenant, asked.client.client_id, asked.launch)
    if said is None:
        raise SentBack("invalid_request", "the launch is not known, too old, or was used before")
    if said.get("account") and said["account"] != call.principal.name:
        raise SentBack("access_denied", "the launch is another physician's")
    return said


async def _pick_patient(call: Call, asked: Asked, text: str) -> Response:
    found = await choices.patients(call, text)
    seen = [f"Patient/{each.id}" for each in found]
    await call.audit("pick-patient", "Patient", patient=seen, seen=seen, query=text)
    return _page(call, "smart_patient.html", asked, patients=found, q=text)


async def _pick_encounter(
    call: Call, asked: Asked, patient: Choice, found: list[Choice]
) -> Response:
    seen = [f"Encounter/{each.id}" for each in found]
    await call.audit("pick-encounter", "Encounter", patient=f"Patient/{patient.id}", seen=seen)
    return _page(call, "smart_encounter.html", asked, patient=patient, encounters=found)


async def _consent(
    call: Call, server: Server, asked: Asked, answers: Answers, context: Context
) -> Response | str:
    kept = scopes.cap(asked.scopes.resources, call.principal.rights)
    offered = scopes.Scopes(kept, asked.scopes.flags)
    problem = ""
    if _one(answers, "decision") == "approve":
        chosen = wording.chosen(offered, answers.get("scope", []))
        if chosen.resources or "openid" in chosen.flags:
            return await _approved(call, server, asked, chosen, context)
        problem = "smart.nothing"
    lines = wording.lines(offered, pages.words(call.request))
    if not lines:
        raise SentBack("invalid_scope", "the physician's account allows none of the scopes")
    return _page(
        call,
        "smart_consent.html",
        asked,
        patient=context.patient,
        encounter=context.encounter,
        lines=lines,
        problem=problem,
    )


async def _approved(
    call: Call, server: Server, asked: Asked, chosen: scopes.Scopes, context: Context
) -> str:
    """Keep the grant and return its code."""
    subject = await _practitioner(call)
    names = ("fhirContext", "intent", "need_patient_banner")
    content: dict[str, Any] = {
        "scope": chosen.text,
        "subject": subject,
        "nonce": asked.nonce,
        "patient": context.patient.id if context.patient else "",
        "encounter": context.encounter,
        **{name: context.more[name] for name in names if name in context.more},
    }
    settings, online = server.settings, "online_access" in chosen.flags
    seconds = settings.smart_access_token_s + CODE_S
    if "offline_access" in chosen.flags:
        seconds = settings.smart_refresh_token_s
    elif online:
        seconds = settings.session_s
    approval = Approval(
        tenant=call.tenant,
        client_id=asked.client.client_id,
        account=call.principal.name,
        content=content,
        seconds=seconds,
        session_hash=hashed(call.request.cookies.get(COOKIE, "")) if online else "",
    )
    code = await server.store.grants.approve(
        approval, asked.redirect_uri, asked.challenge, asked.launch
    )
    if code is None:
        raise SentBack("invalid_request", "the launch was used before")
    who = _with_client(call, asked)
    await trails.record_of(call.request, server, who, "authorize", content["patient"])
    return code


async def _practitioner(call: Call) -> str:
    """Return the id of the physician's Practitioner, which is there afterwards."""
    subject = signer(await call.gateway.hasher_for(call.tenant), call.principal.name)
    if await call.store.resources.find(call.tenant, "Practitioner", subject) is None:
        resource = practitioner(
            Signature(
                practitioner_id=subject,
                display=call.principal.display,
                identifier=call.principal.practitioner,
                signed_at="",
                amendment=False,
                language="",
                comment="",
                verdicts={},
            )
        )
        async with call.store.resources.writing(call.tenant) as writing:
            await writing.save(resource)
    return subject


def _page(call: Call, template: str, asked: Asked, **values: Any) -> Response:
    """Return a page; changing its language leads back to the beginning of the request."""
    return pages.render(
        call.request,
        template,
        call=call,
        here=f"/smart/authorize?{asked.text}",
        asked=asked,
        client=asked.client,
        **values,
    )


def _with_client(call: Call, asked: Asked) -> Principal:
    return replace(call.principal, client_id=asked.client.client_id)


def _one(answers: Answers, name: str) -> str:
    return answers.get(name, [""])[-1]
