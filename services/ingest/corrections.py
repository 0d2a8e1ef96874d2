"""Which results of a submission change or take back those of another case. Pure.

A result is known again by its order (the filler's number, else the placer's) and its code; where
no order is numbered, by its code and its time of day. Which of several it is, sub-id and time say.
What is compared is a value, never how it is written: 4.10 is 4.1.

Source: HL7 v2.9 7.4.2.11 (OBX-11: C, D, W, X), 7.4.2.4 (OBX-4); docs/adr/0038.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dxmesh.event.v1.case_received_pb2 import (
    CORRECTION_KIND_CHANGED,
    CORRECTION_KIND_WITHDRAWN,
    Correction,
)

from services.kernel import fhir

Json = Any
Resource = Mapping[str, Json]
Names = Callable[..., str]

SUB_ID = "urn:dxmesh:hl7v2:sub-id"
"""Extension of an Observation: OBX-4."""
ORDER = "urn:dxmesh:csv:order"
"""Extension of an Observation: its own order, where one ServiceRequest stands for many."""
WITHDRAWN = frozenset(("cancelled", "entered-in-error"))
CORRECTED = frozenset(("corrected", "amended"))
OPEN = frozenset(("registered", "preliminary", "unknown"))
"""A result without value in these is completed by a later one, not corrected."""
CORRECTIONS_MAX = 500


@dataclass(frozen=True, slots=True)
class Stated:
    """One result of a submission, as far as it takes to know it again."""

    reference: str
    """As submitted, such as Observation/a."""
    name: tuple[str, ...]
    """Order and code, or time and code."""
    place: tuple[str, ...]
    """Sub-id, time, and which of several."""
    value: str
    """SHA-256; empty: no value."""
    status: str


@dataclass(frozen=True, slots=True)
class Row:
    """A result as it is kept: nothing but keyed hashes, its case and its status."""

    case_id: str
    result_key: str
    place_key: str
    value_key: str
    """Empty: no value."""
    reference_key: str
    status: str


def stated(named: Iterable[tuple[str, str, Resource]]) -> list[Stated]:
    """Return the results of a submission that can be known again.

    `named`: reference, fullUrl (empty: none) and resource of each entry.
    """
    entries = list(named)
    orders = _orders(entries)
    found, times = [], Counter[tuple[str, ...]]()
    for reference, url, resource in entries:
        if resource.get("resourceType") != "Observation":
            continue
        moment, code = _moment(resource), _code(resource)
        own = _said(resource, ORDER)
        order = (
            (own,)
            if own
            else next((orders[each] for each in (reference, url) if each in orders), ())
        )
        order = order or _based_on(resource, orders)
        name = ("order", *order, code) if order else ("time", moment, code)
        if not code or not (order or "T" in moment):
            continue
        place = (_said(resource, SUB_ID), moment)
        times[(*name, *place)] += 1
        nth = str(times[(*name, *place)])
        status = str(resource.get("status") or "unknown")
        found.append(Stated(reference, name, (*place, nth), _value(resource), status))
    return found


def rows(found: Iterable[Stated], case_id: str, subject: str, hasher: Names) -> list[Row]:
    """Return results as they are kept, for one patient of one tenant."""
    return [
        Row(
            case_id,
            hasher("result", subject, *each.name),
            hasher("result-place", subject, *each.place),
            hasher("result-value", subject, each.value) if each.value else "",
            reference_key(each.reference, hasher),
            each.status,
        )
        for each in found
    ]


def reference_key(reference: str, hasher: Names) -> str:
    """Return what the gateway knows a submitted result by."""
    return hasher("result-reference", reference)


def joined(mine: Sequence[Row], known: Iterable[Row]) -> list[Correction]:
    """Return which results correct which; `known` are those of other cases, oldest first."""
    others: dict[str, list[Row]] = defaultdict(list)
    for each in known:
        others[each.result_key].append(each)
    found = []
    for row in mine:
        for other in _same(row, others.get(row.result_key, ())):
            if correction := _between(row, other):
                found.append(correction)
    return found[:CORRECTIONS_MAX]


def _same(row: Row, others: Sequence[Row]) -> Sequence[Row]:
    """Return the same result in other cases; a correction may have moved its time or sub-id."""
    exact = [each for each in others if each.place_key == row.place_key]
    if exact or row.status not in WITHDRAWN | CORRECTED:
        return exact
    return others if len({each.place_key for each in others}) == 1 else ()


def _between(row: Row, other: Row) -> Correction | None:
    """Return what a result says of an earlier one of another case; None: nothing new."""
    if row.status in WITHDRAWN:
        if other.status in WITHDRAWN:
            return None
        return _made(other, row, CORRECTION_KIND_WITHDRAWN)
    if other.status in WITHDRAWN | CORRECTED and row.status not in CORRECTED:
        # The first came after what corrects it: it is the one that no longer holds.
        if other.status in CORRECTED and row.value_key == other.value_key:
            return None
        withdrawn = other.status in WITHDRAWN
        return _made(
            row, other, CORRECTION_KIND_WITHDRAWN if withdrawn else CORRECTION_KIND_CHANGED
        )
    if not other.value_key and other.status in OPEN:
        return None
    if row.value_key == other.value_key and (
        row.status not in CORRECTED or other.status in CORRECTED
    ):
        return None
    return _made(other, row, CORRECTION_KIND_CHANGED)


def _made(earlier: Row, later: Row, kind: Any) -> Correction:
    return Correction(
        earlier_case_id=earlier.case_id,
        later_case_id=later.case_id,
        earlier_result=earlier.reference_key,
        later_result=later.reference_key,
        kind=kind,
    )


def _orders(entries: Sequence[tuple[str, str, Resource]]) -> dict[str, tuple[str, ...]]:
    """Return the numbers of orders, and those of the results that a report lists."""
    found: dict[str, tuple[str, ...]] = {}
    for reference, url, resource in entries:
        kind = resource.get("resourceType")
        if kind not in ("ServiceRequest", "DiagnosticReport"):
            continue
        number = _number(resource.get("identifier"))
        if not number:
            continue
        listed = resource.get("result") if kind == "DiagnosticReport" else None
        known = [str(e.get("reference")) for e in _objects(listed)]
        for each in (reference, url, *known):
            if each:
                found.setdefault(each, number)
    return found


def _number(identifiers: Json) -> tuple[str, ...]:
    """Return the filler's number of an order, else whatever numbers it has."""
    numbers: dict[bool, list[str]] = {True: [], False: []}
    for each in _objects(identifiers):
        if value := each.get("value"):
            kinds = {str(c.get("code")) for c in _objects((each.get("type") or {}).get("coding"))}
            numbers["FILL" in kinds].append(f"{each.get('system') or ''}|{value}")
    return tuple(sorted(numbers[True] or numbers[False]))


def _based_on(resource: Resource, orders: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    known = (str(each.get("reference")) for each in _objects(resource.get("basedOn")))
    return next((orders[each] for each in known if each in orders), ())


def _code(resource: Resource) -> str:
    concept = resource.get("code")
    if not isinstance(concept, Mapping):
        return ""
    for coding in _objects(concept.get("coding")):
        if code := coding.get("code"):
            return f"{coding.get('system') or ''}|{code}"
    return str(concept.get("text") or "").strip()


def _said(resource: Resource, url: str) -> str:
    found = (e for e in _objects(resource.get("extension")) if e.get("url") == url)
    return next((str(each.get("valueString")) for each in found), "")


def _moment(resource: Resource) -> str:
    """Return when it was measured, a time of day in UTC, so that the same moment is the same."""
    period = resource.get("effectivePeriod")
    begun = period.get("start") if isinstance(period, Mapping) else None
    text = str(resource.get("effectiveDateTime") or resource.get("effectiveInstant") or begun or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found.astimezone(UTC).isoformat() if found.tzinfo else text


def _value(resource: Resource) -> str:
    """Return the SHA-256 of a value; empty when there is none."""
    kept = {name: value for name, value in resource.items() if name.startswith("value")}
    parts = [_value(each) for each in _objects(resource.get("component"))]
    if not kept and not any(parts):
        return ""
    return hashlib.sha256(fhir.dump([_plain(kept), parts])).hexdigest()


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {name: _plain(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return f"{Decimal(str(value)).normalize():E}"
    return value


def _objects(value: Json) -> list[Resource]:
    return [e for e in value if isinstance(e, Mapping)] if isinstance(value, list) else []
