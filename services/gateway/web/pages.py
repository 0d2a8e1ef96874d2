"""Turning a template into an answer, with the words, the account and the page's token."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.gateway.call import Call
from services.gateway.web.markings import as_field
from services.gateway.web.words import Words, choose
from services.kernel.errors import MeshError

LANGUAGE_COOKIE = "dx_language"
PAGE_KEYS = ("j", "k", "Enter", "?")
"""Shortcuts a page has that names none of its own."""
_FOLDER = Path(__file__).parent / "templates"
_environment = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["marking"] = as_field


def words(request: Request) -> Words:
    """Return the words in the language of the request."""
    cookie = request.cookies.get(LANGUAGE_COOKIE)
    return Words(choose(cookie, request.headers.get("accept-language", "")))


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    call: Call | None = None,
    root: str = "",
    **values: Any,
) -> Response:
    """Return a page."""
    values.setdefault("keys", PAGE_KEYS)
    values.setdefault("here", here(request))
    page = _environment.get_template(template).render(
        t=words(request),
        user=call.principal if call else None,
        csrf=call.session.csrf if call and call.session else "",
        root=call.root if call else root,
        proof=call.proof if call else "",
        **values,
    )
    return HTMLResponse(page, status)


def error_page(request: Request, error: MeshError, status: int) -> Response:
    """Return a page that says what went wrong and what to do."""
    t = words(request)
    known = {403: "forbidden", 404: "missing", 409: "changed", 429: "slow", 503: "away"}
    text = t(f"error.{known.get(status, 'other')}")
    return render(request, "error.html", status=status, text=text, reason=error.reason, code=status)


def here(request: Request) -> str:
    """Return the path and query of the request, for coming back."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def safe_target(target: str) -> str:
    """Return a path of this site to go to; anything else becomes the worklist."""
    parts = urlsplit(target)
    outside = parts.scheme or parts.netloc or not target.startswith("/")
    return "/worklist" if outside or target.startswith(("//", "/\\")) or "\\" in target else target
