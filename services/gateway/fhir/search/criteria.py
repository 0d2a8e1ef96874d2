"""What a search asks for, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from services.gateway.fhir.search.definitions import Definition
from services.gateway.fhir.search.ranges import Bounds


class Text(NamedTuple):
    """A string as it was written, and in its normal form."""

    written: str
    normal: str


class Code(NamedTuple):
    """A token: `system` None means any, "" none; `code` "" means any code of the system."""

    system: str | None
    code: str


class Typed(NamedTuple):
    """`:of-type`: an identifier's value, with the coding of its type."""

    system: str
    code: str
    value: str


class Target(NamedTuple):
    """A reference or canonical: any of these addresses, or a bare id of any type."""

    urls: tuple[str, ...]
    id: str = ""
    version: str = ""


class Uri(NamedTuple):
    """A URI."""

    uri: str


class Span(NamedTuple):
    """A date or number: bounds, any of which will do."""

    any_of: tuple[Bounds, ...]


class Amount(NamedTuple):
    """A quantity: bounds, and the unit; `system` None: any, and `unit` is code or unit."""

    any_of: tuple[Bounds, ...]
    system: str | None
    unit: str


class Parts(NamedTuple):
    """A composite: what each component must be."""

    parts: tuple[Wanted, ...]


Wanted = Text | Code | Typed | Target | Uri | Span | Amount | Parts


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter; any of the wanted values will do."""

    definition: Definition
    modifier: str = ""
    """"" or missing, exact, contains, not, text, of-type, identifier, above, below."""
    wanted: tuple[Wanted, ...] = ()
    missing: bool = False
    """What `:missing` asks for."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference to a resource that itself meets a condition; any of the types will do."""

    definition: Definition
    links: tuple[tuple[str, Condition], ...]
    """Type of the resource referred to, with what it must meet."""


@dataclass(frozen=True, slots=True)
class Has:
    """`_has`: a resource of type `kind` that refers to this one and meets a condition."""

    kind: str
    definition: Definition
    inner: Condition


Condition = Criterion | Chain | Has


@dataclass(frozen=True, slots=True)
class Member:
    """Being in a compartment: any of its addresses, Patient/1 first."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` or `_revinclude`: references of `kind`; no definition means every one."""

    kind: str
    """Type that holds the reference; "*": any."""
    definition: Definition | None
    target: str = ""
    """Type referred to; empty: any."""
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of `_sort`."""

    definition: Definition
    descending: bool = False
