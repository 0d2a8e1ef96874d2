"""Signing in and out, and choosing the language."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.gateway.access import trail
from services.gateway.access.gate import COOKIE
from services.gateway.access.principal import Role
from services.gateway.call import Call, Gateway, base_url, form_of
from services.gateway.fhir.outcome import TooManyRequests
from services.gateway.web import pages
from services.gateway.web.words import LANGUAGES
from services.kernel.errors import Forbidden, Unauthenticated

NAME_CHARS_MAX = 128
FORM_BYTES_MAX = 64 << 10
"""Of a form that anybody may send."""
_checking = asyncio.Semaphore(2)
"""Passwords checked at once: each costs 16 MiB and 50 ms of a core."""


async def sign_in_page(request: Request, gateway: Gateway) -> Response:
    """Show the form."""
    target = pages.safe_target(request.query_params.get("next", "/worklist"))
    return pages.render(request, "sign_in.html", target=target, problem="", name="")


async def sign_in(request: Request, gateway: Gateway) -> Response:
    """Check name and password; open a session."""
    same_site(request)
    form = await form_of(request, FORM_BYTES_MAX)
    name = str(form.get("name", "")).strip()[:NAME_CHARS_MAX]
    target = pages.safe_target(str(form.get("next", "/worklist")))
    if wait := await gateway.store.people.wait_s(name):
        t = pages.words(request)
        refused = pages.render(
            request,
            "sign_in.html",
            status=429,
            target=target,
            problem=t("signin.wait", seconds=wait),
            name=name,
        )
        refused.headers["Retry-After"] = str(wait)
        return refused
    key = await check_password(gateway, name, str(form.get("password", "")))
    if key is None:
        await _audit_refusal(request, gateway, name)
        t = pages.words(request)
        return pages.render(
            request,
            "sign_in.html",
            status=401,
            target=target,
            problem=t("signin.wrong"),
            name=name,
        )
    token, _ = await gateway.store.people.open_session(*key)
    principal = gateway.accounts.by_name[key]
    await gateway.store.audit.record(trail.entry(request, principal, "sign-in"))
    answer = _onward(request, target)
    secure = base_url(request, gateway.settings).startswith("https:")
    answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=secure, path="/")
    return answer


def _onward(request: Request, target: str) -> Response:
    """Lead to where the physician was going.

    An app's request may lead on to the app, and browsers stop a form whose answer ends at
    another origin (`form-action`, CSP 3, 6.3.1): it is opened by a page of its own.
    """
    if target.startswith("/smart/authorize?"):
        return pages.render(request, "onward.html", target=target)
    return RedirectResponse(target, 303)


async def _audit_refusal(request: Request, gateway: Gateway, name: str) -> None:
    """Write the audit entry of a sign-in that was refused to an account there is."""
    if key := gateway.accounts.find(name):
        refused = Unauthenticated("the name or the password is wrong", reason="SIGN_IN_REFUSED")
        principal = gateway.accounts.by_name[key]
        entry = trail.entry(request, principal, "sign-in", outcome=refused)
        await gateway.store.audit.record(entry)


async def check_password(gateway: Gateway, name: str, password: str) -> tuple[str, str] | None:
    """Return the account whose name and password these are; a wrong one is counted.

    Raises
    ------
    TooManyRequests
        The name has to wait.
    """
    key = gateway.accounts.find(name)
    async with _checking:  # those that waited for their turn look at what the others' tries left
        if wait := await gateway.store.people.wait_s(name):
            raise TooManyRequests("too many wrong passwords", wait)
        right = await asyncio.to_thread(gateway.accounts.password_of(key).matches, password)
        if key is None or not right or gateway.accounts.by_name[key].role is not Role.PHYSICIAN:
            await gateway.store.people.failed(name)
            return None
    await gateway.store.people.succeeded(name)
    return key


async def sign_out(call: Call) -> Response:
    """End the session."""
    await call.store.people.close_session(call.request.cookies.get(COOKIE, ""))
    await call.audit("sign-out")
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE, path="/")
    return answer


async def set_language(request: Request, gateway: Gateway) -> Response:
    """Remember the language and go back."""
    same_site(request)
    form = await form_of(request, FORM_BYTES_MAX)
    language = str(form.get("language", ""))
    answer = RedirectResponse(pages.safe_target(str(form.get("next", "/worklist"))), 303)
    if language in LANGUAGES:
        secure = base_url(request, gateway.settings).startswith("https:")
        answer.set_cookie(
            pages.LANGUAGE_COOKIE,
            language,
            max_age=31_536_000,
            httponly=True,
            samesite="lax",
            secure=secure,
            path="/",
        )
    return answer


def same_site(request: Request) -> None:
    """Let a form pass that was not sent from another site's page.

    Raises
    ------
    Forbidden
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site not in ("same-origin", "none"):
        raise Forbidden("the form came from another site", reason="CSRF")
