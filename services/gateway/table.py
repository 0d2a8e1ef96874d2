"""The table of routes, looked up by method, length and first word of the path.

Starlette tries one pattern after another; with a hundred routes that takes longer than the
read they lead to.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

_FOUND = "dxmesh.route"
Place = tuple[str, int, str]
"""Method, number of parts of the path, first part."""


class Table(BaseRoute):
    """Routes as one; the first that fits serves, as in a list of them."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = list(routes)
        self._places: dict[Place, list[Route]] = {}
        for route in self._routes:
            parts = route.path.split("/")
            if ":path}" in route.path or parts[1].startswith("{"):
                raise ValueError(f"{route.path} has no place in the table")
            for method in route.methods or ():
                self._places.setdefault((method, len(parts), parts[1]), []).append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return what the first route that fits says; PARTIAL where only the method does not."""
        if scope["type"] != "http":
            return Match.NONE, {}
        parts = str(scope["path"]).split("/")
        place = (scope["method"], len(parts), parts[1] if len(parts) > 1 else "")
        for route in self._places.get(place, ()):
            match, found = route.matches(scope)
            if match is Match.FULL:
                return match, {**found, _FOUND: route}
        for route in self._routes:
            match, found = route.matches(scope)
            if match is not Match.NONE:
                return match, {**found, _FOUND: route}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve by the route that was found.

        Raises
        ------
        HTTPException
            405 with `Allow`: the methods of all routes of this path, not of the first alone.
        """
        if scope["method"] not in (scope[_FOUND].methods or ()):
            fitting = [r for r in self._routes if r.matches(scope)[0] is not Match.NONE]
            methods = {method for route in fitting for method in route.methods or ()}
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(methods))})
        await scope[_FOUND].handle(scope, receive, send)
