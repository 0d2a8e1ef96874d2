"""Where the next page of a search begins: sealed, so that only this server can make one.

The token is bound to tenant and query, and tells a client nothing: a place may hold a value
that was sorted by.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson

from services.gateway.fhir.search.query import Query
from services.gateway.store.database import Cipher
from services.kernel.errors import InvalidInput, MeshError, Violation

SHOWN_ALONE = frozenset({"_count", "_total", "_format", "_pretty", "_summary", "_elements"})
"""Parameters that may change from page to page."""
TOKEN_MAX = 8192


def sealed(cipher: Cipher, tenant: str, query: Query, place: list[Any]) -> str:
    """Return the token of a place."""
    content = cipher.encrypt(orjson.dumps(place), _context(tenant, query))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def opened(cipher: Cipher, tenant: str, query: Query) -> list[Any]:
    """Return the place a query's page begins after.

    Raises
    ------
    InvalidInput
        The token was not made here for this query of this tenant.
    """
    token = query.after
    try:
        if len(token) > TOKEN_MAX:
            raise ValueError("too long")
        content = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        return list(orjson.loads(cipher.decrypt(content, _context(tenant, query))))
    except (ValueError, MeshError) as error:
        problem = Violation("http._after", "not a page this server gave out for this search")
        raise InvalidInput("there is no such page", [problem], reason="BAD_REQUEST") from error


def _context(tenant: str, query: Query) -> str:
    """Return what a token is bound to."""
    asked = [pair for pair in query.used if pair[0] not in SHOWN_ALONE]
    compartment = query.compartment.addresses if query.compartment else ()
    plain = orjson.dumps([query.kind, compartment, asked])
    return f"search-page/{tenant}/{hashlib.sha256(plain).hexdigest()}"
