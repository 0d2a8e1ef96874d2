"""The FHIRPath that FHIRPath Patch may use: where in a resource an operation works. Pure.

    path      = Type step*
    step      = '.' name | '[' index ']' | '.where(' test ('and' test)* ')' | '.first()'
              | '.last()' | '.single()' | ".extension('url')" | '.ofType(Type)'
    test      = name ('.' name)* '=' literal
    literal   = 'string' | number | true | false | @date

A choice is named without its type: `Observation.value`. Anything else is refused, never
guessed. It is read in one pass without going back, so no path is costly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.gateway.fhir import schema
from services.gateway.fhir.schema import Model
from services.kernel.errors import InvalidInput, Violation

PATH_CHARS_MAX = 1000
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<date>@[0-9T:.+\-Z]+)|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<mark>[.\[\]()=]))"
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}

Json = Any
Token = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: `container[key]`, and the model of what stands there."""

    container: Json
    key: Any
    model: Model | None
    owner: Model | None = None
    """Model of the object it stands in; None in a list."""

    @property
    def value(self) -> Json:
        """What stands there."""
        return self.container[self.key]


def find(resource: dict[str, Json], path: str) -> list[Place]:
    """Return the places a path leads to; none where nothing is there.

    Raises
    ------
    InvalidInput
        Not a path of the form above, or of another resource type.
    """
    tokens = _tokens(path)
    kind = str(resource["resourceType"])
    if next(tokens) != ("name", kind):
        raise _refused(f"a path begins with {kind}")
    places = [Place({"": resource}, "", schema.model_of(kind))]
    for mark in tokens:
        if mark == ("mark", "["):
            index = _index(_take(tokens, "number"))
            _expect(tokens, "]")
            places = places[index : index + 1]
            continue
        if mark == ("end", ""):
            return places
        if mark != ("mark", "."):
            raise _refused("a step begins with '.' or '['")
        name = _take(tokens, "name")
        places = list(_step(places, name, tokens))
    return places


def _step(places: list[Place], name: str, tokens: _Tokens) -> Iterable[Place]:
    if not tokens.next_is("("):
        return [inner for place in places for inner in children(place, name)]
    _expect(tokens, "(")
    if name == "where":
        return _where(places, tokens)
    if name == "extension":
        url = _text(_take(tokens, "string"))
        _expect(tokens, ")")
        inner = [e for place in places for e in children(place, "extension")]
        return [e for e in inner if isinstance(e.value, dict) and e.value.get("url") == url]
    if name == "ofType":
        kind = _take(tokens, "name")
        _expect(tokens, ")")
        return [p for p in places if str(p.key).endswith(kind[:1].upper() + kind[1:])]
    _expect(tokens, ")")
    if name == "first":
        return places[:1]
    if name == "last":
        return places[-1:]
    if name == "single":
        if len(places) > 1:
            raise _refused("single() leads to several elements")
        return places
    raise _refused("a function that is not served; see docs/guides/fhir-server.md")


def children(place: Place, name: str) -> Iterator[Place]:
    """Yield what stands under a name, each item of a list by itself."""
    node = place.value
    if not isinstance(node, dict):
        return
    known = schema.elements(place.model) if place.model else {}
    if name not in node:
        forms = [n for n, element in known.items() if element.choice == name and n in node]
        if not forms:
            return
        name = forms[0]
    model = known[name].model if name in known else None
    value = node[name]
    if isinstance(value, dict) and isinstance(value.get("resourceType"), str):
        model = schema.model_of(value["resourceType"])
    if isinstance(value, list):
        yield from (Place(value, number, model) for number in range(len(value)))
    else:
        yield Place(node, name, model, place.model)


def _where(places: list[Place], tokens: _Tokens) -> list[Place]:
    while True:
        names = [_take(tokens, "name")]
        while tokens.next_is("."):
            _expect(tokens, ".")
            names.append(_take(tokens, "name"))
        _expect(tokens, "=")
        kind, text = next(tokens, ("end", ""))
        places = [place for place in places if _holds(place, names, kind, text)]
        ending = next(tokens, ("end", ""))
        if ending == ("mark", ")"):
            return places
        if ending != ("name", "and"):
            raise _refused("where() takes tests joined by 'and'")


def _holds(place: Place, names: list[str], kind: str, text: str) -> bool:
    found = [place]
    for name in names:
        found = [inner for outer in found for inner in children(outer, name)]
    if kind == "string":
        return any(place.value == _text(text) for place in found)
    if kind == "date":
        return any(place.value == text[1:] for place in found)
    if kind == "name" and text in ("true", "false"):
        return any(place.value is (text == "true") for place in found)
    if kind == "number":
        values = [place.value for place in found]
        numbers = [v for v in values if isinstance(v, int | Decimal) and not isinstance(v, bool)]
        return Decimal(text) in numbers
    raise _refused("a test compares with a string, a number, a boolean or a date")


class _Tokens:
    """The parts of a path, one after the other; ("end", "") comes last."""

    def __init__(self, found: list[Token]) -> None:
        self._found = [*found, ("end", "")]
        self._at = 0

    def __iter__(self) -> _Tokens:
        return self

    def __next__(self) -> Token:
        if self._at >= len(self._found):
            raise StopIteration
        self._at += 1
        return self._found[self._at - 1]

    def next_is(self, mark: str) -> bool:
        return self._at < len(self._found) and self._found[self._at] == ("mark", mark)


def _tokens(path: str) -> _Tokens:
    if len(path) > PATH_CHARS_MAX:
        raise _refused(f"a path has at most {PATH_CHARS_MAX} characters")
    found: list[Token] = []
    at = 0
    text = path.rstrip()
    while at < len(text):
        if not (match := _TOKEN.match(text, at)):
            raise _refused("not a path")
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        at = match.end()
    return _Tokens(found)


def _take(tokens: _Tokens, kind: str) -> str:
    found, text = next(tokens, ("end", ""))
    if found != kind:
        raise _refused(f"a {kind} is missing")
    return text


def _index(text: str) -> int:
    if not text.isdigit():
        raise _refused("an index is a whole number")
    return int(text)


def _expect(tokens: _Tokens, mark: str) -> None:
    if next(tokens, ("end", "")) != ("mark", mark):
        raise _refused(f"{mark!r} is missing")


def _text(literal: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), literal[1:-1])


def _refused(problem: str) -> InvalidInput:
    violations = [Violation("path", problem)]
    return InvalidInput("a path of the patch cannot be used", violations, reason="PATCH_PATH")
