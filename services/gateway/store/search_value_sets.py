"""`:in` and `:not-in`: the codes of a ValueSet that is stored here, in place of its address."""

from __future__ import annotations

from dataclasses import replace

from services.gateway.fhir.search.costs import VALUE_SET_MAX, TooCostly
from services.gateway.fhir.search.criteria import Code, Criterion, Uri
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.fhir.search.value_sets import NotListed, codes_of
from services.gateway.store.search_links import Finder
from services.gateway.store.search_scan import Reading
from services.kernel.errors import InvalidInput, Violation

PLAIN = {"in": "", "not-in": "not"}
"""The modifier that means the same with the codes listed."""


async def listed(finder: Finder, reading: Reading, criterion: Criterion) -> Criterion:
    """Return a criterion with the codes of its value sets.

    Raises
    ------
    InvalidInput
        There is no such value set that the caller may see, or it does not list its codes.
    TooCostly
    """
    codes: list[Code] = []
    for wanted in criterion.wanted:
        if isinstance(wanted, Uri):
            conditions = parse_criteria("ValueSet", _where(wanted.uri))
            found = await finder.find(reading, "ValueSet", conditions, limit=8)
            if not found:
                raise _refused(criterion, "no value set with this url is loaded here")
            try:
                codes += codes_of(found[0].resource)
            except NotListed:
                raise _refused(
                    criterion, "the value set does not list its codes; store its expansion"
                ) from None
    if len(codes) > VALUE_SET_MAX:
        raise TooCostly(f"a value set of over {VALUE_SET_MAX} codes is not searched by")
    plain = replace(criterion, modifier=PLAIN[criterion.modifier], wanted=tuple(codes))
    if not codes and not plain.modifier:
        raise _refused(criterion, "the value set has no codes")
    return plain


def _where(address: str) -> tuple[tuple[str, str], ...]:
    if address.startswith("ValueSet/"):
        return (("_id", address.removeprefix("ValueSet/")),)
    url, _, version = address.partition("|")
    plain = url.replace("\\", "\\\\").replace(",", "\\,")
    return (("url", plain), ("version", version)) if version else (("url", plain),)


def _refused(criterion: Criterion, problem: str) -> InvalidInput:
    path = f"http.{criterion.definition.code}:{criterion.modifier}"
    return InvalidInput(
        "a search parameter cannot be used", [Violation(path, problem)], reason="BAD_REQUEST"
    )
