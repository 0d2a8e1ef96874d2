"""The search index: keyed terms and ranges of a resource, made beside its content.

`SearchIndexer.rows` gives what the writer inserts in the transaction that stores a version:
rows of gateway_terms and gateway_ranges. A term is 16 bytes of a keyed hash, so the index
holds nothing plain but dates and numbers (docs/adr/0013).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.fhir.search.extract import RULES, Term, index_of
from services.kernel.crypto import KeyedHash

__all__ = ["RULES", "IndexRows", "Terms", "indexed"]

TERM_BYTES = 16
KNOWN_MAX, KNOWN_CHARS_MAX = 20_000, 120
"""Terms of a tenant that are kept, since codes and systems come again and again."""


@dataclass(frozen=True, slots=True)
class IndexRows:
    """What a resource is found by, as the tables hold it."""

    terms: list[bytes]
    """16 bytes each, distinct, in order."""
    ranges: list[tuple[bytes, int, int]]
    """(term, low, high), signed 64-bit; distinct."""


class Terms:
    """A tenant's terms: BLAKE2b keyed with what the tenant's keyed hash gives for "search"."""

    def __init__(self, hasher: KeyedHash) -> None:
        self._key = hasher.digest("search")
        self._known: dict[Term, bytes] = {}

    def term(self, term: Term) -> bytes:
        """Return the 16 bytes for (resource type, parameter, form)."""
        if (found := self._known.get(term)) is not None:
            return found
        text = "\0".join(term).encode("utf-8", "surrogatepass")
        found = hashlib.blake2b(text, key=self._key, digest_size=TERM_BYTES).digest()
        if len(text) <= KNOWN_CHARS_MAX:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[term] = found
        return found


def indexed(terms: Terms, resource: Mapping[str, Any]) -> IndexRows:
    """Return the index rows of a resource as it is stored, `meta` included."""
    index = index_of(resource)
    ranges = {(terms.term(term), low, high) for term, low, high in index.ranges}
    return IndexRows(sorted(map(terms.term, index.terms)), sorted(ranges))
