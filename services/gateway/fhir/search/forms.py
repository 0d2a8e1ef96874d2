"""The forms under which a value stands in the index, and those a query looks up. Pure.

A form is a string that begins with what it is; the store keeps its keyed hash alone, so a
search by equality is one comparison and the index says nothing to who has no key. What
follows here is the whole of the index's language:

| form | of | found by |
|---|---|---|
| `?` | every type | `:missing` |
| `=text` | string | `:exact` |
| `^text` | string, the first 1, 2, 3, 4, 6, 8, 12, 16 characters of its normal form | a string |
| `~abc`, `~` | string, three characters in a row; a string too long for that | `:contains` |
| `c`code, `s`system`|`code, `n`code, `S`system | token: any, this, no system; any code | token |
| `C`, `T`, `N` | the same without case | token |
| `^text` | token, the first 3 and 8 characters of its text | `:text` |
| `o`system`|`code`|`value | identifier with a type | `:of-type` |
| `r`url, `v`url`|`version, `i`id | reference, canonical | reference |
| `I` and a token's form | identifier of a reference | `:identifier` |
| `u`uri, `b`uri | uri; each of its beginnings that end before a slash | uri, `:below` |
| `d` | range of a date or number | date, number |
| `q`, `qs`system`|`code, `qc`code | range of a quantity, and under its unit | quantity |
| `o` | range over all values of a date, number or quantity | `_sort` |
"""

from __future__ import annotations

from collections.abc import Iterator

from services.gateway.fhir.search.measures import Measure
from services.gateway.fhir.search.strings import (
    GRAMS_MAX,
    PREFIXES,
    grams,
    normal,
)
from services.gateway.fhir.search.values import Pointer, Token

PRESENT = "?"
LONG = "~"
RANGE = "d"
ORDER = "o"
TEXT_PREFIXES = (3, 8)
"""Lengths of the prefixes of a token's text that the index holds."""


def of_string(text: str) -> Iterator[str]:
    """Yield the forms of a string."""
    yield f"={text}"
    found = normal(text)
    for length in PREFIXES:
        if length > len(found):
            break
        yield f"^{found[:length]}"
    for gram in grams(found):
        yield f"~{gram}"
    if len(found) > GRAMS_MAX:
        yield LONG


def of_token(token: Token) -> Iterator[str]:
    """Yield the forms of a token."""
    yield from of_code(token)
    for text in token.texts:
        found = normal(text)
        for length in TEXT_PREFIXES:
            if length <= len(found):
                yield f"^{found[:length]}"
    for system, code in token.types:
        yield f"o{system}|{code}|{token.code}"


def of_code(token: Token) -> Iterator[str]:
    """Yield the forms of a token's code and system."""
    any_system, this, none = ("C", "T", "N") if token.folded else ("c", "s", "n")
    if token.code:
        code = normal(token.code) if token.folded else token.code
        yield any_system + code
        if token.system:
            yield f"{this}{token.system}|{code}"
        if not token.system or token.implied:
            yield none + code
    if token.system:
        yield f"S{token.system}"


def of_pointer(pointer: Pointer) -> Iterator[str]:
    """Yield the forms of a reference."""
    if pointer.url:
        yield f"r{pointer.url}"
        if pointer.version:
            yield f"v{pointer.url}|{pointer.version}"
        if pointer.local:
            yield f"i{pointer.id}"
    if pointer.identifier:
        for form in of_code(pointer.identifier):
            yield f"I{form}"


def of_uri(uri: str) -> Iterator[str]:
    """Yield the forms of a URI."""
    yield f"u{uri}"
    for beginning in beginnings(uri):
        yield f"b{beginning}"


def beginnings(uri: str) -> Iterator[str]:
    """Yield what a URL may be said to be below: its beginnings up to a slash, and itself.

    A URN is below nothing (R4 search, 3.1.1.4.13).
    """
    if "://" not in uri:
        return
    place = uri.index("://") + 3
    for _ in range(32):
        place = uri.find("/", place)
        if place < 0:
            break
        yield uri[:place]
        place += 1
    if not uri.endswith("/"):
        yield uri


def of_measure(measure: Measure) -> Iterator[str]:
    """Yield the forms under which a quantity's range stands."""
    yield "q"
    if measure.system and measure.code:
        yield f"qs{measure.system}|{measure.code}"
    for unit in {measure.code, measure.unit} - {""}:
        yield f"qc{unit}"
