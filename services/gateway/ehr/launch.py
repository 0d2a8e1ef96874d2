"""The launch: GET /ehr/launch, the EHR's authorization server, GET /ehr/callback/{ehr}.

The defences, each with a test that fails without it: only configured issuers are spoken to;
each EHR has a redirect address of its own, its states are its own and an `iss` in the answer
must be its own (mix-up, RFC 9207); a state is taken once, by the browser that began; PKCE
with S256; the id_token's signature, issuer, audience, time and nonce; no address in a
request says where to go next.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.gateway.access import trail
from services.gateway.access.principal import Principal
from services.gateway.call import Gateway, base_url
from services.gateway.ehr import discovery, identity, tokens
from services.gateway.ehr.client import EhrClient, EhrRefused
from services.gateway.ehr.discovery import Endpoints
from services.gateway.ehr.gate import SESSION_COOKIE, digest, put_cookie, root_of
from services.gateway.ehr.identity import Identity, IdTokenRefused
from services.gateway.ehr.patient import names_of
from services.gateway.ehr.registry import Ehr
from services.gateway.ehr.tokens import Tokens
from services.gateway.fhir.submission import describe
from services.kernel.errors import Forbidden, InvalidInput, NotFound, Precondition

BROWSER_COOKIE = "__Host-dx_launch"
BROWSER_S = 8 * 3600
LAUNCH_CHARS_MAX = 4096
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ERROR = re.compile(r"[a-z_]{1,40}")


async def launch(request: Request, gateway: Gateway) -> Response:
    """Send the browser to the EHR's authorization server."""
    client = _client(gateway, gateway.ehrs.registry.of_issuer(request.query_params.get("iss", "")))
    here = _https(request, gateway)
    found = await client.endpoints()
    context = request.query_params.get("launch", "")
    if len(context) > LAUNCH_CHARS_MAX:
        raise InvalidInput("the launch parameter is too long", reason="BAD_REQUEST")
    given = request.cookies.get(BROWSER_COOKIE, "")
    browser = given if _SECRET.fullmatch(given) else secrets.token_urlsafe(32)
    kept = {
        "browser": digest(browser),
        "verifier": secrets.token_urlsafe(48),
        "nonce": secrets.token_urlsafe(24),
        "redirect_uri": f"{here}/ehr/callback/{client.ehr.name}",
    }
    state = await gateway.store.ehr.add_state(client.ehr.tenant, client.ehr.name, kept)
    asked = {
        "response_type": "code",
        "client_id": client.ehr.client_id,
        "redirect_uri": kept["redirect_uri"],
        "scope": _scopes(client.ehr, standalone=not context),
        "state": state,
        "aud": client.ehr.issuer,
        "nonce": kept["nonce"],
        "code_challenge": tokens.challenge(kept["verifier"]),
        "code_challenge_method": "S256",
    }
    if context:
        asked["launch"] = context
    joint = "&" if urlsplit(found.authorize).query else "?"
    answer = RedirectResponse(f"{found.authorize}{joint}{urlencode(asked)}", 303)
    put_cookie(answer, BROWSER_COOKIE, browser, "/", BROWSER_S)
    return answer


async def callback(request: Request, gateway: Gateway) -> Response:
    """Take the authorization code, find out who and whom it is about, open the session."""
    registry, asked = gateway.ehrs.registry, request.query_params
    client = _client(gateway, registry.by_name.get(str(request.path_params["ehr"])))
    kept = await gateway.store.ehr.take_state(client.ehr.name, asked.get("state", ""))
    browser = request.cookies.get(BROWSER_COOKIE, "")
    if kept is None or not hmac.compare_digest(kept["browser"], digest(browser)):
        raise Forbidden("this launch is over or began elsewhere", reason="EHR_STATE")
    found = await client.endpoints()
    if not discovery.is_from(found, client.ehr, asked.get("iss")):
        raise Forbidden("the answer is of another EHR", reason="EHR_MIX_UP")
    if error := asked.get("error"):
        code = error.upper() if _ERROR.fullmatch(error) else "OTHER"
        raise Forbidden("the EHR did not allow the launch", reason=f"EHR_SAID_{code}")
    code, verifier = asked.get("code", ""), str(kept["verifier"])
    answer = await client.exchange(found, code, verifier, str(kept["redirect_uri"]))
    arrival = await _arrive(gateway, client, found, answer, str(kept["nonce"]))
    return await _open(request, gateway, client.ehr, arrival)


async def jwks(request: Request, gateway: Gateway) -> Response:
    """Return the public keys an EHR checks our assertions with."""
    client = _client(gateway, gateway.ehrs.registry.by_name.get(str(request.path_params["ehr"])))
    return JSONResponse(tokens.public_keys(client.ehr))


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who launched, and whom it is about."""

    principal: Principal
    identity: Identity
    practitioner: dict[str, Any]
    patient: dict[str, Any]
    encounter: str
    tokens: Tokens
    provisioned: bool
    marks: list[str]


async def _arrive(
    gateway: Gateway, client: EhrClient, found: Endpoints, answer: dict[str, Any], nonce: str
) -> Arrival:
    ehr, held = client.ehr, tokens.granted(answer, client.now_us())
    who = await _identity(client, found, answer, nonce)
    practitioner: dict[str, Any] = {}
    if who.fhir_user:
        try:
            practitioner = await client.get(who.fhir_user, held.access)
        except EhrRefused:  # not granted: the id_token's name has to do
            practitioner = {}
    principal = identity.physician(ehr, gateway.accounts, who, practitioner)
    patient_id, encounter = answer.get("patient"), answer.get("encounter", "")
    if not isinstance(patient_id, str) or not _ID.fullmatch(patient_id):
        raise Forbidden("the EHR launched without a patient", reason="EHR_WITHOUT_PATIENT")
    try:
        patient = await client.get(f"Patient/{patient_id}", held.access)
    except EhrRefused as error:
        raise Forbidden("the EHR does not show the patient", reason="EHR_PATIENT") from error
    if (patient.get("resourceType"), patient.get("id")) != ("Patient", patient_id):
        raise Forbidden("the EHR shows another patient", reason="EHR_PATIENT")
    return Arrival(
        principal,
        who,
        practitioner,
        patient,
        encounter if isinstance(encounter, str) and _ID.fullmatch(encounter) else "",
        held,
        (principal.tenant, principal.name) not in gateway.accounts.by_name,
        identity.marks(who, practitioner),
    )


async def _identity(
    client: EhrClient, found: Endpoints, answer: dict[str, Any], nonce: str
) -> Identity:
    """Return whom the id_token is about; keys that rotated meanwhile are asked for once more."""
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise Forbidden("the EHR does not say who launches", reason="EHR_WITHOUT_IDENTITY")
    issuers, now_s = [found.issuer or client.ehr.issuer], client.now_us() // 1_000_000
    keys = await client.keys(found)
    try:
        return identity.check(token, keys, client.ehr, issuers, nonce, now_s)
    except IdTokenRefused as error:
        if error.reason != "ID_TOKEN_SIGNATURE":
            raise
    keys = await client.keys(found, fresh=True)
    return identity.check(token, keys, client.ehr, issuers, nonce, now_s)


async def _open(request: Request, gateway: Gateway, ehr: Ehr, arrival: Arrival) -> Response:
    principal, patient = arrival.principal, arrival.patient
    content = {
        "patient": patient["id"],
        "encounter": arrival.encounter,
        "label": describe(patient),
        "names": names_of(patient, ehr.patient_systems),
        "user": {
            "display": principal.display,
            "practitioner": principal.practitioner,
            "fhir_user": arrival.identity.fhir_user,
            "provisioned": arrival.provisioned,
        },
        "marks": arrival.marks,
        "tokens": arrival.tokens.plain(),
    }
    store = gateway.store
    token, opened = await store.ehr.open(ehr.tenant, ehr.name, principal.name, content)
    await store.audit.record(
        trail.entry(request, principal, "ehr-launch", patient=f"Patient/{patient['id']}")
    )
    patient_hash = await store.ehr.patient_hash(ehr.tenant, ehr.name, patient["id"])
    await store.ehr_writes.wake(ehr.tenant, patient_hash)
    root = root_of(opened.launch_id)
    answer = RedirectResponse(f"{root}/worklist", 303)
    put_cookie(answer, SESSION_COOKIE, token, root, int(gateway.settings.session_s))
    return answer


def _client(gateway: Gateway, ehr: Ehr | None) -> EhrClient:
    if ehr is None:
        raise NotFound("this EHR is not configured here", reason="EHR_NOT_KNOWN")
    return gateway.ehrs.clients[ehr.name]


def _https(request: Request, gateway: Gateway) -> str:
    """Return our address.

    Raises
    ------
    Precondition
        It is not https: the browser would keep none of the cookies.
    """
    here = base_url(request, gateway.settings)
    if not here.startswith("https:"):
        raise Precondition(
            "an EHR launches over https alone; set DX_GATEWAY_PUBLIC_URL", reason="EHR_NEEDS_HTTPS"
        )
    return here


def _scopes(ehr: Ehr, *, standalone: bool) -> str:
    """Return the scopes to ask for; without a launch context the EHR lets a patient be picked."""
    wanted = [s for s in ehr.scopes.split() if s != "launch" and not s.startswith("launch/")]
    return " ".join([*(["launch/patient"] if standalone else ["launch"]), *wanted])
