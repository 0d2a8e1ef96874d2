"""Links inside a Bundle, and what becomes of them when its entries get their ids. Pure.

A link is a Reference, an element of type uri, url, oid or uuid, or canonical, or an `href` or
`src` in the narrative (R4 http, 3.1.0.11.2). A string or an identifier's value is none, even
when it looks the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from services.gateway.fhir import schema
from services.gateway.fhir.schema import Model
from services.gateway.fhir.types import TYPES

Json = Any
Resolve = Callable[[str], str]
"""Returns what a link becomes; the same when it stays."""

LINKS = frozenset({"Uri", "Url", "Oid", "Uuid", "Canonical"})
_BY_NAME = frozenset(
    {"reference", "valueUri", "valueUrl", "valueOid", "valueUuid", "valueCanonical"}
)
"""Links in a type whose schema is not known."""
_NARRATIVE = re.compile(r"""(\s(?:href|src)\s*=\s*)(?:"([^"<>]*)"|'([^'<>]*)')""")
_RESTFUL = re.compile(r"(https?://.+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/.+)?")
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")


def relink(resource: dict[str, Json], resolve: Resolve) -> dict[str, Json]:
    """Return the resource with every link resolved; the one given stays as it is."""
    made: dict[str, Json] = _value(resource, None, resolve)
    return made


def literals(node: Json, path: str) -> Iterator[tuple[str, str]]:
    """Yield every literal reference with its path, but for those inside a Bundle."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from literals(item, f"{path}[{number}]")
    elif isinstance(node, Mapping) and node.get("resourceType") != "Bundle":
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                yield f"{path}.{name}", value
            else:
                yield from literals(value, f"{path}.{name[:64]}")


def local(node: Json, base: str) -> Json:
    """Return the same with references to this server made relative; not those inside a Bundle.

    `base` is its address with a slash at the end. Without such a reference it is `node` itself.
    """
    if isinstance(node, list):
        made = [local(item, base) for item in node]
        return made if any(a is not b for a, b in zip(made, node, strict=True)) else node
    if not isinstance(node, Mapping) or node.get("resourceType") == "Bundle":
        return node
    changed: dict[str, Json] = {}
    for name, value in node.items():
        became = value
        if name == "reference" and isinstance(value, str) and value.startswith(base):
            if restful(value.removeprefix(base)):
                became = value.removeprefix(base)
        elif isinstance(value, Mapping | list):
            became = local(value, base)
        if became is not value:
            changed[name] = became
    return {**node, **changed} if changed else node


def _object(node: Mapping[str, Json], model: Model | None, resolve: Resolve) -> dict[str, Json]:
    known = schema.elements(model) if model else {}
    made: dict[str, Json] = {}
    for name, value in node.items():
        element = known.get(name)
        inner = element.model if element else None
        if name == "reference" and isinstance(value, str):
            made[name] = resolve(value)
        elif name == "div" and isinstance(value, str):
            made[name] = _narrative(value, resolve)
        elif (element and element.primitive in LINKS) or (not known and name in _BY_NAME):
            made[name] = _strings(value, resolve)
        else:
            made[name] = _value(value, inner, resolve)
    return made


def _value(value: Json, model: Model | None, resolve: Resolve) -> Json:
    if isinstance(value, list):
        return [_value(item, model, resolve) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get("resourceType")
    if kind == "Bundle":  # a document of its own: its links mean its own entries
        return value
    return _object(value, schema.model_of(kind) if isinstance(kind, str) else model, resolve)


def _strings(value: Json, resolve: Resolve) -> Json:
    if isinstance(value, list):
        return [_strings(item, resolve) for item in value]
    return resolve(value) if isinstance(value, str) else value


def _narrative(text: str, resolve: Resolve) -> str:
    def replaced(match: re.Match[str]) -> str:
        mark = '"' if match[2] is not None else "'"
        link = match[2] if match[2] is not None else match[3]
        became = resolve(link)
        return match[0] if became == link else f"{match[1]}{mark}{became}{mark}"

    return _NARRATIVE.sub(replaced, text)


def conditional(link: str) -> tuple[str, str] | None:
    """Return type and query of a conditional reference, such as Patient?identifier=x|1."""
    match = _CONDITIONAL.fullmatch(link)
    return (match[1], match[2]) if match and match[1] in TYPES else None


def restful(link: str) -> tuple[str, str, str] | None:
    """Return base ("" when relative), type and id of a link to a resource on a server."""
    match = _RESTFUL.fullmatch(link)
    return (match[1] or "", match[2], match[3]) if match and match[2] in TYPES else None


class Links:
    """The new addresses of a Bundle's entries, by what the Bundle calls them."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._conditional: dict[str, str] = {}

    def name(self, full_url: str, became: str) -> None:
        """Note that an entry has become `Type/id`."""
        self._known[full_url] = became

    def settle(self, link: str, became: str) -> None:
        """Note what a conditional reference means."""
        self._conditional[link] = became

    def resolver(self, full_url: str) -> Resolve:
        """Return how links in an entry are resolved (R4 bundle, 2.36.4.1)."""
        own = restful(full_url)
        base = own[0] if own else ""

        def resolve(link: str) -> str:
            if link in self._conditional:
                return self._conditional[link]
            plain = link.partition("/_history/")[0]
            if plain in self._known:
                return self._known[plain]
            if base and restful(plain):
                return self._known.get(base + plain, link)
            return link

        return resolve
