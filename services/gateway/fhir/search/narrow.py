"""What a condition means to the index: sets of terms and ranges, and whether that is exact. Pure.

A filter never leaves out a resource that meets its condition. Where it may let others through
it is not exact, and each candidate is looked at again by `match`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.gateway.access.rights import Permission, Visibility
from services.gateway.fhir.search import forms
from services.gateway.fhir.search.criteria import (
    Amount,
    Code,
    Condition,
    Criterion,
    Member,
    Parts,
    Span,
    Target,
    Text,
    Typed,
    Uri,
    Wanted,
)
from services.gateway.fhir.search.definitions import Definition
from services.gateway.fhir.search.extract import COMPARTMENT, EVERY, Term
from services.gateway.fhir.search.match import CONFIDENTIALITY, RESTRICTED
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.fhir.search.ranges import Bounds
from services.gateway.fhir.search.strings import grams_of_search, normal, prefix_length

GRAMS_MAX = 8
"""Substrings looked up for one `:contains`; the rest is left to the second look."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Resources under any of these terms."""

    any_of: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Ranges:
    """Resources with a range under a term that keeps to any of the bounds."""

    term: Term
    any_of: tuple[Bounds, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Resources that pass every part; with none, all resources."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Resources that pass any part; with none, no resource."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Resources that do not pass."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Only:
    """These resources alone, by their keys."""

    keys: tuple[int, ...]


Filter = Terms | Ranges | All | Either | Not | Only
EVERYTHING = All(())
NOTHING = Either(())


def flat(found: Filter) -> tuple[Filter, ...]:
    """Return the parts that all have to pass."""
    if isinstance(found, All):
        return tuple(inner for part in found.parts for inner in flat(part))
    return (found,)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A filter, and whether what passes it meets the condition for certain."""

    filter: Filter
    exact: bool = True


def listing(kind: str) -> Terms:
    """Return the filter of all resources of a type."""
    return Terms(((kind, "", ""),))


def member(compartment: Member) -> Terms:
    """Return the filter of a compartment."""
    return Terms(tuple((EVERY, COMPARTMENT, address) for address in compartment.addresses))


def narrowed(condition: Criterion) -> Narrowed:
    """Return what a condition on a resource's own values means to the index."""
    definition, modifier = condition.definition, condition.modifier
    present = Terms((_term(definition, forms.PRESENT),))
    if modifier == "missing":
        return Narrowed(Not(present) if condition.missing else present)
    parts = [_of(definition, modifier, want) for want in condition.wanted]
    exact = all(part.exact for part in parts)
    joined = _either([part.filter for part in parts])
    if modifier == "not":
        return Narrowed(Not(joined)) if exact else Narrowed(EVERYTHING, exact=False)
    return Narrowed(joined, exact)


def hidden(kind: str, visibility: Visibility) -> list[Filter]:
    """Return the filters of labels: none where restricted resources may be seen as well."""
    if visibility.restricted:
        return []
    labels = [(kind, "_security", f"s{CONFIDENTIALITY}|{code}") for code in RESTRICTED]
    return [Not(Terms(tuple(labels)))]


def seen(
    kind: str, visibility: Visibility, base_url: str = ""
) -> tuple[Narrowed, tuple[Permission, ...] | None]:
    """Return what of a type may be seen, and the rules to decide by where that is not exact."""
    rules = visibility.of(kind)
    if rules is None:
        return Narrowed(All(tuple(hidden(kind, visibility)))), None
    parts, exact = [], True
    for rule in rules:
        inner: list[Filter] = []
        if rule.patient:
            inner.append(member(Member((f"Patient/{rule.patient}",))))
        for condition in parse_criteria(kind, rule.criteria, base_url=base_url):
            found = narrowed(_own(condition))
            inner.append(found.filter)
            exact = exact and found.exact
        parts.append(All(tuple(inner)))
    return Narrowed(All((*hidden(kind, visibility), Either(tuple(parts)))), exact), rules


def _own(condition: Condition) -> Criterion:
    if not isinstance(condition, Criterion):
        raise TypeError("a scope follows no references")
    return condition


def _term(definition: Definition, form: str) -> Term:
    return definition.base, definition.code, form


def _either(parts: list[Filter]) -> Filter:
    """Return one filter for any of several; terms are put together."""
    terms = [term for part in parts if isinstance(part, Terms) for term in part.any_of]
    ranges: dict[Term, list[Bounds]] = {}
    for part in parts:
        if isinstance(part, Ranges):
            ranges.setdefault(part.term, []).extend(part.any_of)
    found: list[Filter] = [Terms(tuple(dict.fromkeys(terms)))] if terms else []
    found += [Ranges(term, tuple(dict.fromkeys(bounds))) for term, bounds in ranges.items()]
    found += [part for part in parts if not isinstance(part, Terms | Ranges)]
    return found[0] if len(found) == 1 else Either(tuple(found))


def _of(definition: Definition, modifier: str, want: Wanted) -> Narrowed:
    if isinstance(want, Text):
        return _string(definition, modifier, want)
    if isinstance(want, Span):
        return Narrowed(Ranges(_term(definition, forms.RANGE), want.any_of))
    if isinstance(want, Amount):
        return Narrowed(Ranges(_term(definition, _unit(want)), want.any_of))
    if isinstance(want, Parts):
        parts = [
            _of(component.definition, "", part).filter
            for component, part in zip(definition.components, want.parts, strict=True)
        ]
        return Narrowed(All(tuple(parts)), exact=False)
    found = _forms(definition, modifier, want)
    return Narrowed(Terms(tuple(_term(definition, form) for form in found)))


def _unit(want: Amount) -> str:
    if want.system is not None:
        return f"qs{want.system}|{want.unit}"
    return f"qc{want.unit}" if want.unit else "q"


def _string(definition: Definition, modifier: str, want: Text) -> Narrowed:
    present = Terms((_term(definition, forms.PRESENT),))
    if modifier == "exact":
        return Narrowed(Terms((_term(definition, f"={want.written}"),)))
    if modifier == "contains":
        grams = sorted(grams_of_search(want.normal))
        if not grams:
            return Narrowed(present, exact=False)
        kept = grams[:: -(-len(grams) // GRAMS_MAX)]
        every = All(tuple(Terms((_term(definition, f"~{gram}"),)) for gram in kept))
        return Narrowed(Either((every, Terms((_term(definition, forms.LONG),)))), exact=False)
    if modifier == "text":
        lengths = [n for n in forms.TEXT_PREFIXES if n <= len(want.normal)]
        if not lengths:
            return Narrowed(present, exact=False)
        length = lengths[-1]
    else:
        length = prefix_length(want.normal)
    term = _term(definition, f"^{want.normal[:length]}")
    return Narrowed(Terms((term,)), exact=length == len(want.normal))


def _forms(definition: Definition, modifier: str, want: Wanted) -> Iterator[str]:
    if isinstance(want, Code):
        identifier = modifier == "identifier"
        for folded in sorted({False} if identifier else definition.folds):
            yield f"{'I' if identifier else ''}{_code(want, folded=folded)}"
    elif isinstance(want, Typed):
        yield f"o{want.system}|{want.code}|{want.value}"
    elif isinstance(want, Target):
        if want.id:
            yield f"i{want.id}"
        for url in want.urls:
            yield f"v{url}|{want.version}" if want.version else f"r{url}"
    elif isinstance(want, Uri):
        yield from _uri(modifier, want.uri)


def _code(want: Code, *, folded: bool) -> str:
    """Return the form of a token, of an element where case matters or does not."""
    marks, code = ("CTN", normal(want.code)) if folded else ("csn", want.code)
    if not want.code:
        return f"S{want.system}"
    if want.system is None:
        return f"{marks[0]}{code}"
    return f"{marks[1]}{want.system}|{code}" if want.system else f"{marks[2]}{code}"


def _uri(modifier: str, uri: str) -> Iterator[str]:
    yield f"u{uri}"
    if modifier == "below":
        yield f"b{uri.removesuffix('/')}"
    elif modifier == "above":
        for beginning in forms.beginnings(uri):
            yield from (f"u{beginning}", f"u{beginning}/")
