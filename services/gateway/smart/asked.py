"""An authorization request, held against the client's registration. Pure.

Until client and redirect address are known to belong together nothing is sent anywhere: such
an error is shown (`NotOurs`). Every later one goes back to the app (`SentBack`).

Source: RFC 6749, 4.1.1; RFC 7636; RFC 9207; SMART App Launch 2.2.0, Obtain authorization code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from services.gateway.access import scopes
from services.gateway.smart import pkce
from services.gateway.smart.clients import SmartClient
from services.gateway.smart.site import Site
from services.kernel.errors import InvalidInput

REQUEST_CHARS_MAX, VALUE_CHARS_MAX, FIELDS_MAX = 8192, 4096, 40
STATE_CHARS_MAX, NONCE_CHARS_MAX = 1024, 512


class NotOurs(InvalidInput):
    """The request names no client, or an address that is not the client's: it is shown."""


class SentBack(Exception):
    """The app is told what is wrong, at its own address."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code, self.description = code, description


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that holds."""

    text: str
    """The request as it was sent, to be sent again with the next form."""
    client: SmartClient
    redirect_uri: str
    state: str
    scopes: scopes.Scopes
    challenge: str
    launch: str
    nonce: str

    @property
    def needs_patient(self) -> bool:
        """Whether a patient must be chosen or come with the launch."""
        flags = self.scopes.flags
        return bool({"launch/patient", "launch/encounter"} & flags or self.scopes.of("patient"))

    @property
    def needs_encounter(self) -> bool:
        """Whether an encounter is asked for."""
        return "launch/encounter" in self.scopes.flags


def pairs_of(text: str) -> dict[str, str]:
    """Return the parameters of a request.

    Raises
    ------
    NotOurs
        Too long, or a parameter given twice: which of the two holds is a matter of taste.
    """
    if len(text) > REQUEST_CHARS_MAX:
        raise NotOurs("the authorization request is too long", reason="BAD_REQUEST")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise NotOurs("the authorization request cannot be read", reason="BAD_REQUEST") from error
    found = dict(pairs)
    if len(found) != len(pairs) or any(len(value) > VALUE_CHARS_MAX for value in found.values()):
        raise NotOurs("a parameter is given twice or too long", reason="BAD_REQUEST")
    return found


def known(client: SmartClient | None) -> SmartClient:
    """Return the client of a request.

    Raises
    ------
    NotOurs
    """
    if client is None or not client.redirect_uris:
        raise NotOurs("no app of this client_id is registered here", reason="UNKNOWN_CLIENT")
    return client


def redirect_of(client: SmartClient, pairs: dict[str, str]) -> str:
    """Return where answers go: an address the client is registered with, letter by letter.

    Raises
    ------
    NotOurs
    """
    given = pairs.get("redirect_uri", "")
    if given not in client.redirect_uris:
        raise NotOurs("redirect_uri is not one the app is registered with", reason="BAD_REDIRECT")
    return given


def checked(text: str, pairs: dict[str, str], client: SmartClient, site: Site) -> Asked:
    """Return the request.

    Raises
    ------
    SentBack
    """
    if pairs.get("response_type") != "code":
        raise SentBack("unsupported_response_type", "response_type must be code")
    if pairs.get("response_mode", "query") != "query":
        raise SentBack("invalid_request", "response_mode must be query")
    for name in ("request", "request_uri"):
        if name in pairs:
            raise SentBack(f"{name}_not_supported", f"{name} is not taken here")
    state, nonce = pairs.get("state", ""), pairs.get("nonce", "")
    if not 0 < len(state) <= STATE_CHARS_MAX or len(nonce) > NONCE_CHARS_MAX:
        raise SentBack("invalid_request", "state is needed; state and nonce have a limit")
    challenge = pairs.get("code_challenge", "")
    if pairs.get("code_challenge_method") != pkce.METHOD or not pkce.is_challenge(challenge):
        raise SentBack("invalid_request", "PKCE is needed: code_challenge with method S256")
    if pairs.get("aud", "").rstrip("/") != site.fhir:
        raise SentBack("invalid_request", f"aud must be {site.fhir}")
    if pairs.get("prompt") == "none":
        raise SentBack("interaction_required", "a physician must consent")
    asked = _registered(scopes.parse(pairs.get("scope", "")), client.scopes)
    if not asked.resources and not asked.flags:
        raise SentBack("invalid_scope", "no scope is asked for that the app is registered for")
    launch = pairs.get("launch", "")
    if launch and "launch" not in asked.flags:
        raise SentBack("invalid_scope", "a launch needs the scope launch")
    if not launch:
        asked = scopes.Scopes(asked.resources, asked.flags - {"launch"})
    redirect_uri = pairs["redirect_uri"]
    return Asked(text, client, redirect_uri, state, asked, challenge, launch, nonce)


def _registered(asked: scopes.Scopes, registered: scopes.Scopes) -> scopes.Scopes:
    """Return what is asked for and registered; `system/` is for backend services alone."""
    kept: list[scopes.Scope] = []
    for level in ("patient", "user"):
        own = scopes.as_rights(registered.of(level))
        kept += scopes.cap(asked.of(level), own)
    return scopes.Scopes(tuple(kept), asked.flags & registered.flags)


def answer_uri(redirect_uri: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return the client's address with an answer added to it."""
    joint = "&" if "?" in redirect_uri else "?"
    return f"{redirect_uri}{joint}{urlencode([(k, v) for k, v in pairs if v])}"
