"""A batch or transaction Bundle, read: its entries, what each asks for, in which order. Pure.

Source: R4 http, 3.1.0.11; R4 bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from services.gateway.fhir.types import TYPES
from services.kernel.errors import InvalidInput, TooLarge, Violation

ENTRIES_MAX = 2000
ORDER = ("DELETE", "POST", "PUT", "PATCH", "GET", "HEAD")
"""Order in which a transaction is done; PUT and PATCH have the same place."""
_RANK = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_HEADERS = {
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifMatch": "if-match",
    "ifNoneExist": "if-none-exist",
}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One entry: an HTTP request in small."""

    number: int
    """Place in the Bundle, from 0."""
    method: str
    path: str
    """Below the base, without a slash at either end: Patient/1."""
    query: str
    full_url: str
    resource: Json | None
    headers: dict[str, str] = field(default_factory=dict)
    """Conditional headers, lower-case."""

    @property
    def at(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.number}]"

    @property
    def is_read(self) -> bool:
        """Whether nothing is changed by it."""
        return self.method in ("GET", "HEAD")


def is_submission(bundle: Mapping[str, Any]) -> bool:
    """Tell whether a Bundle is a case to be analysed rather than a batch of interactions.

    That is a collection; and a transaction that holds a Patient, a Consent and a
    ServiceRequest, or none of whose entries says what it requests (ADR 0018).
    """
    if bundle.get("type") != "transaction":
        return bundle.get("type") not in ("batch",)
    entries = [e for e in _list(bundle.get("entry")) if isinstance(e, Mapping)]
    if entries and not any("request" in entry for entry in entries):
        return True
    resources = [entry.get("resource") for entry in entries]
    kinds = {r.get("resourceType") for r in resources if isinstance(r, Mapping)}
    return {"Patient", "Consent", "ServiceRequest"} <= kinds


def read(bundle: Mapping[str, Any], base: str) -> list[Asked]:
    """Return the entries of a transaction, in the Bundle's order.

    Parameters
    ----------
    base : address of the FHIR server, which an entry's url may begin with

    Raises
    ------
    TooLarge, InvalidInput
        With everything that is wrong.
    """
    read_each = list(_read(bundle, base))
    if problems := [problem for _, wrong in read_each for problem in wrong]:
        raise InvalidInput("the Bundle cannot be processed", problems[:100], reason="BAD_REQUEST")
    return [asked for asked, _ in read_each if asked]


def each(bundle: Mapping[str, Any], base: str) -> list[Asked | InvalidInput]:
    """Return the entries of a batch; in place of one that cannot be read, what is wrong in it.

    The others are done all the same (R4 http, 3.1.0.11.2). `base` is as in `read`.

    Raises
    ------
    TooLarge
    """
    return [
        asked
        if asked and not wrong
        else InvalidInput("the entry cannot be processed", wrong, reason="BAD_REQUEST")
        for asked, wrong in _read(bundle, base)
    ]


def _read(bundle: Mapping[str, Any], base: str) -> Iterator[tuple[Asked | None, list[Violation]]]:
    """Yield each entry as far as it can be read, and what is wrong in it."""
    entries = _list(bundle.get("entry"))
    if len(entries) > ENTRIES_MAX:
        raise TooLarge(f"a Bundle may have {ENTRIES_MAX} entries", reason="TOO_MANY_ENTRIES")
    names: set[str] = set()
    for number, entry in enumerate(entries):
        at = f"Bundle.entry[{number}]"
        request = entry.get("request") if isinstance(entry, Mapping) else None
        if not isinstance(request, Mapping):
            yield None, [Violation(f"{at}.request", "is needed")]
            continue
        problems: list[Violation] = []
        asked = _asked(number, entry, request, base, problems)
        if asked.full_url and asked.full_url in names and asked.method != "GET":
            problems.append(Violation(f"{at}.fullUrl", "is there twice"))
        names.add(asked.full_url)
        yield asked, problems


def in_order(entries: list[Asked]) -> list[Asked]:
    """Return entries in the order a transaction is done in; equal ones keep their place."""
    return sorted(entries, key=lambda asked: _RANK[asked.method])


def _asked(
    number: int,
    entry: Mapping[str, Any],
    request: Mapping[str, Any],
    base: str,
    problems: list[Violation],
) -> Asked:
    at = f"Bundle.entry[{number}]"
    method, url = request.get("method"), request.get("url")
    if method not in _RANK:
        problems.append(Violation(f"{at}.request.method", f"must be one of {', '.join(ORDER)}"))
        method = "GET"
    if not isinstance(url, str):
        problems.append(Violation(f"{at}.request.url", "is needed"))
        url = ""
    path, _, query = url.removeprefix(f"{base}/").lstrip("/").partition("?")
    if "://" in path or ".." in unquote(path).split("/") or "#" in path:
        problems.append(Violation(f"{at}.request.url", "must be relative to this server"))
    resource = entry.get("resource")
    if method in ("POST", "PUT", "PATCH") and not (
        isinstance(resource, dict) and isinstance(resource.get("resourceType"), str)
    ):
        problems.append(Violation(f"{at}.resource", "is needed"))
        resource = None
    headers = {
        header: value
        for name, header in _HEADERS.items()
        if isinstance(value := request.get(name), str)
    }
    full_url = entry.get("fullUrl")
    return Asked(
        number,
        str(method),
        unquote(path).rstrip("/"),
        query,
        full_url if isinstance(full_url, str) else "",
        resource if isinstance(resource, dict) else None,
        headers,
    )


def instance(asked: Asked) -> tuple[str, str]:
    """Return type and id ("" for a type alone) that a changing entry's url names.

    Raises
    ------
    InvalidInput
    """
    kind, _, resource_id = asked.path.partition("/")
    if kind not in TYPES or "/" in resource_id:
        problem = Violation(f"{asked.at}.request.url", "must be a resource type, or a type and id")
        raise InvalidInput("an entry cannot be processed", [problem], reason="BAD_REQUEST")
    return kind, resource_id


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
