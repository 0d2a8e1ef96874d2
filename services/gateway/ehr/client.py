"""HTTP to one EHR: discovery, tokens, keys and FHIR; only to the hosts it is configured with.

Every request goes through `gateway.outbound`: the name is resolved once, the connection is
to the checked address, no redirect is followed and answers have a limit. The EHR's hosts
are vouched for by the operator who wrote them down, so they may be private.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from services.gateway.ehr import discovery, tokens
from services.gateway.ehr.discovery import Endpoints
from services.gateway.ehr.registry import Ehr, Registry
from services.gateway.ehr.tokens import Tokens
from services.gateway.outbound import Answer, Outbound, Streamed
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, MeshError, Unavailable

FORM = "application/x-www-form-urlencoded"
CACHE_S = 300.0
"""How long what an EHR says of itself is believed."""
DOCUMENT_BYTES_MAX = 256 << 10
RESOURCE_BYTES_MAX = 8 << 20
TIMEOUT_S = 15.0


class EhrRefused(MeshError):
    """The EHR answered with an error; `status` is its HTTP status."""

    issue = "processing"
    grpc_status = "FAILED_PRECONDITION"

    def __init__(self, status: int, *, reason: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(
            f"the EHR answered {status}", reason=reason or f"EHR_{status}", status=status
        )
        self.status = status
        if status == 429 or status >= 500:
            self.retry_after_s = retry_after_s or 30.0


class EhrClient:
    """One EHR."""

    def __init__(
        self, ehr: Ehr, outbound: Outbound, clock_us: Callable[[], int] | None = None
    ) -> None:
        self.ehr = ehr
        self._outbound = outbound
        self.now_us = clock_us or (lambda: time.time_ns() // 1000)
        self._seen: dict[str, tuple[float, dict[str, Any]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def endpoints(self) -> Endpoints:
        """Return where its authorization server is."""
        document = await self._document(self.ehr.issuer + discovery.WELL_KNOWN)
        return discovery.endpoints(self.ehr, document)

    async def keys(self, found: Endpoints, *, fresh: bool = False) -> dict[str, Any]:
        """Return the JWK set its id_tokens are signed with."""
        url = found.jwks
        if not url:
            issuer = found.issuer or self.ehr.issuer
            document = await self._document(issuer.rstrip("/") + discovery.OPENID)
            url = discovery.jwks_of(self.ehr, document, issuer)
        return await self._document(url, fresh=fresh)

    async def exchange(
        self, found: Endpoints, code: str, verifier: str, redirect_uri: str
    ) -> dict[str, Any]:
        """Return the token answer for an authorization code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._token(found, form | {"code_verifier": verifier})

    async def refresh(self, held: Tokens) -> Tokens:
        """Return new tokens for a refresh token.

        Raises
        ------
        EhrRefused
            It is revoked, or was never given.
        """
        if not held.refresh:
            raise EhrRefused(401, reason="EHR_TOKEN_EXPIRED")
        form = {"grant_type": "refresh_token", "refresh_token": held.refresh}
        answer = await self._token(await self.endpoints(), form)
        return tokens.granted(answer, self.now_us(), held)

    async def backend(self) -> Tokens:
        """Return tokens of our own, with nobody there (SMART Backend Services)."""
        found = await self.endpoints()
        ehr, now_s = self.ehr, self.now_us() // 1_000_000
        proof = tokens.assertion(
            ehr, ehr.backend_client_id, found.token, now_s, secrets.token_urlsafe(16)
        )
        form = {"grant_type": "client_credentials", "scope": ehr.backend_scopes}
        form |= {"client_assertion_type": tokens.ASSERTION, "client_assertion": proof}
        return tokens.granted(await self._post(found.token, form, {}), self.now_us())

    async def get(self, path: str, token: str) -> dict[str, Any]:
        """Return a resource; `path` is below the issuer, or an address under it.

        Raises
        ------
        EhrRefused, Unavailable
        Forbidden
            The address is not under the issuer: our token would leave with it.
        """
        answer = await self.send("GET", path, token)
        if answer.status != 200:
            raise refused(answer)
        return await _json(answer)

    async def send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        resource: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one FHIR request and return the answer, whatever its status."""
        sent = {"Accept": fhir.MEDIA_TYPE, "Authorization": f"Bearer {token}", **(headers or {})}
        content = b""
        if resource is not None:
            sent["Content-Type"] = fhir.MEDIA_TYPE
            content = await asyncio.to_thread(fhir.dump, dict(resource))
        return await self._outbound.request(
            self.ehr.tenant,
            method,
            self.below(path),
            headers=sent,
            content=content,
            limit=RESOURCE_BYTES_MAX,
            timeout_s=TIMEOUT_S,
        )

    def stream(
        self, url: str, headers: Mapping[str, str], timeout_s: float
    ) -> AbstractAsyncContextManager[Streamed]:
        """Return an answer of one of the EHR's hosts that is read while it comes."""
        return self._outbound.stream(
            self.ehr.tenant, "GET", self._trusted(url), headers=headers, timeout_s=timeout_s
        )

    def below(self, path: str) -> str:
        """Return the address of a path on the EHR's FHIR server."""
        base = self.ehr.issuer
        url = path if path.startswith(("https://", "http://")) else f"{base}/{path.lstrip('/')}"
        steps = url.partition("?")[0].split("/")
        if not (url == base or url.startswith((f"{base}/", f"{base}?"))) or ".." in steps:
            raise Forbidden("the address is not on the EHR's FHIR server", reason="EHR_ADDRESS")
        return url

    async def _token(self, found: Endpoints, form: Mapping[str, str]) -> dict[str, Any]:
        now_s, nonce = self.now_us() // 1_000_000, secrets.token_urlsafe(16)
        fields, headers = tokens.authentication(self.ehr, found.token, now_s, nonce)
        return await self._post(found.token, {**form, **fields}, headers)

    async def _post(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        answer = await self._outbound.request(
            self.ehr.tenant,
            "POST",
            self._trusted(url),
            headers={"Accept": "application/json", "Content-Type": FORM, **headers},
            content=urlencode(form, quote_via=quote).encode(),
            limit=DOCUMENT_BYTES_MAX,
            timeout_s=TIMEOUT_S,
        )
        if answer.status != 200:
            raise refused(answer)
        return await _json(answer)

    async def _document(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        """Return a public document of the EHR, at most `CACHE_S` old; asked for once at a time."""
        async with self._locks.setdefault(url, asyncio.Lock()):
            read_s, document = self._seen.get(url, (0.0, {}))
            if document and not fresh and time.monotonic() - read_s < CACHE_S:
                return document
            answer = await self._outbound.request(
                self.ehr.tenant,
                "GET",
                self._trusted(url),
                headers={"Accept": "application/json"},
                limit=DOCUMENT_BYTES_MAX,
                timeout_s=TIMEOUT_S,
            )
            if answer.status != 200:
                raise refused(answer)
            document = await _json(answer)
            self._seen[url] = (time.monotonic(), document)
            return document

    def _trusted(self, url: str) -> str:
        if not self.ehr.trusts(url):
            raise Forbidden("the host is not one of the EHR's", reason="EHR_HOST_NOT_ALLOWED")
        return url


@dataclass(frozen=True, slots=True)
class Ehrs:
    """Every EHR with its client."""

    registry: Registry = field(default_factory=Registry)
    clients: Mapping[str, EhrClient] = field(default_factory=dict)


def refused(answer: Answer) -> EhrRefused:
    """Return the error of an answer; nothing of its content, which may name the patient."""
    after = answer.headers.get("retry-after", "")
    return EhrRefused(answer.status, retry_after_s=float(after) if after.isdigit() else 0.0)


async def _json(answer: Answer) -> dict[str, Any]:
    try:
        value = await asyncio.to_thread(fhir.parse, answer.content)
    except InvalidInput as error:
        raise Unavailable("the EHR's answer is not JSON", reason="EHR_ANSWER") from error
    if not isinstance(value, dict):
        raise Unavailable("the EHR's answer is not a JSON object", reason="EHR_ANSWER")
    return value
