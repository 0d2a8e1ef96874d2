"""GET and POST /smart/authorize: from an app's request to the consent page, and back to the app.

The request travels with the pages' own form and is checked anew at every step, so nothing is
kept between them. What is chosen (a patient) goes in the body of a form, never in an address.
The pages are shown in no frame, and take forms from themselves alone.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.gateway.access.gate import COOKIE, check_csrf
from services.gateway.access.principal import Principal, Role
from services.gateway.call import Call, form_of
from services.gateway.smart import asked as requests
from services.gateway.smart import steps
from services.gateway.smart.answers import FORM_BYTES_MAX
from services.gateway.smart.asked import SentBack
from services.gateway.smart.server import Server
from services.gateway.web.session import same_site
from services.kernel.errors import Forbidden

DECIDE = "/smart/authorize/decide"


async def authorize(request: Request, server: Server) -> Response:
    """Show the first page: sign-in, a picker, or consent."""
    return await _answered(request, server, request.url.query, {})


async def authorize_post(request: Request, server: Server) -> Response:
    """Take a request that was sent as a form; it goes on as a link, which carries the cookie."""
    form = await form_of(request, FORM_BYTES_MAX)
    text = urlencode([(name, str(value)) for name, value in form.multi_items()])
    requests.pairs_of(text)
    return RedirectResponse(f"/smart/authorize?{text}", 303)


async def decide(request: Request, server: Server) -> Response:
    """Take the form of one of our pages."""
    same_site(request)
    form = await form_of(request, FORM_BYTES_MAX)
    answers = {name: [str(v) for v in form.getlist(name)] for name in form}
    return await _answered(request, server, "".join(answers.get("request", [])), answers)


async def _answered(
    request: Request, server: Server, text: str, answers: dict[str, list[str]]
) -> Response:
    pairs = requests.pairs_of(text)
    site = server.site(request)
    found = await server.store.clients.find(pairs.get("client_id", ""))
    client = requests.known(found.client if found else None)
    redirect_uri = requests.redirect_of(client, pairs)
    try:
        asked = requests.checked(text, pairs, client, site)
        call = await _signed_in(request, server)
        if call is None:
            return RedirectResponse(f"/sign-in?next={quote(f'/smart/authorize?{text}')}", 303)
        if answers and call.session:
            await check_csrf(request, call.session)
        if call.principal.tenant != client.tenant:
            raise Forbidden("the app belongs to another hospital", reason="OTHER_TENANT")
        answer = await steps.next_page(call, server, asked, answers)
    except SentBack as error:
        return sent(
            redirect_uri,
            [
                ("error", error.code),
                ("error_description", error.description),
                ("state", pairs.get("state", "")[: requests.STATE_CHARS_MAX]),
                ("iss", site.issuer),
            ],
        )
    if isinstance(answer, str):
        code = [("code", answer), ("state", asked.state), ("iss", site.issuer)]
        return sent(redirect_uri, code)
    return _framed(answer, redirect_uri)


async def _signed_in(request: Request, server: Server) -> Call | None:
    """Return the physician whose session the browser has."""
    cookie = request.cookies.get(COOKIE, "")
    session = await server.gateway.store.people.session(cookie) if cookie else None
    if session is None:
        return None
    account: Principal | None = server.gateway.accounts.by_name.get(
        (session.tenant, session.reviewer)
    )
    if account is None or account.role is not Role.PHYSICIAN:
        return None
    return Call(request, server.gateway, account, session)


def sent(redirect_uri: str, pairs: list[tuple[str, str]]) -> Response:
    """Return the browser to the app."""
    return RedirectResponse(requests.answer_uri(redirect_uri, pairs), 303)


def _framed(answer: Response, redirect_uri: str) -> Response:
    """Let the page's form lead to the app, which `form-action` would stop (CSP 3, 6.3.1)."""
    parts = urlsplit(redirect_uri)
    target = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    answer.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"font-src 'self'; connect-src 'self'; form-action 'self' {target}; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    answer.headers["X-Frame-Options"] = "DENY"
    return answer
