"""The codes of a ValueSet that lists them, for `:in` and `:not-in`. Pure.

Source: FHIR R4, search.html 3.1.1.4.3; valueset.html, expansion and compose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.gateway.fhir.search.criteria import Code

Json = Mapping[str, Any]


class NotListed(ValueError):
    """The value set names its codes by a rule or another value set, not one by one."""


def codes_of(value_set: Json) -> tuple[Code, ...]:
    """Return the codes of a value set: of its expansion, else those it is composed of.

    Raises
    ------
    NotListed
    """
    expansion = value_set.get("expansion")
    if isinstance(expansion, dict) and expansion.get("contains"):
        return tuple(dict.fromkeys(_contained(expansion)))
    compose = value_set.get("compose")
    if not isinstance(compose, dict):
        raise NotListed
    included = [code for part in _parts(compose, "include") for code in _listed(part)]
    excluded = {code for part in _parts(compose, "exclude") for code in _listed(part)}
    return tuple(code for code in dict.fromkeys(included) if code not in excluded)


def _parts(node: Json, name: str) -> list[Json]:
    found = node.get(name)
    return [part for part in found if isinstance(part, dict)] if isinstance(found, list) else []


def _contained(node: Json, depth: int = 0) -> Iterator[Code]:
    for part in _parts(node, "contains"):
        code, system = part.get("code"), part.get("system", "")
        if isinstance(code, str) and not part.get("abstract"):
            yield Code(str(system), code)
        if depth < 32:
            yield from _contained(part, depth + 1)


def _listed(part: Json) -> Iterator[Code]:
    concepts = _parts(part, "concept")
    if not concepts or part.get("filter") or part.get("valueSet"):
        raise NotListed
    for concept in concepts:
        yield Code(str(part.get("system", "")), str(concept.get("code", "")))
