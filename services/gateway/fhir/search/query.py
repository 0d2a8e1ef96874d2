"""A search as it was asked for: parameters, and how the result is to be shown. Pure.

Source: FHIR R4, search.html 3.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.gateway.fhir.search import results
from services.gateway.fhir.search.chains import UnknownParameter, condition
from services.gateway.fhir.search.criteria import Condition, Include, Member, Sort
from services.gateway.fhir.search.wanted import Setting, Unusable
from services.kernel.errors import InvalidInput, Violation

PARAMETERS_MAX = 64
NAME_MAX = 256
VALUE_MAX = 4096
"""Characters of one parameter's value."""
AFTER = "_after"

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Query:
    """One search of one resource type."""

    kind: str
    criteria: tuple[Condition, ...] = ()
    """All of which a resource must meet."""
    compartment: Member | None = None
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    sort: tuple[Sort, ...] = ()
    """Empty: newest created first."""
    count: int = results.COUNT_DEFAULT
    """Matches on a page; 0: only how many there are."""
    total: str = ""
    """none, estimate or accurate; empty: when it costs nothing."""
    summary: str = ""
    """true, text, data or count; empty: whole resources."""
    elements: tuple[str, ...] = ()
    after: str = ""
    """Where the page begins, as an earlier page said; empty: the first."""
    unknown: tuple[Violation, ...] = ()
    """Parameters that are not served: refused, or under lenient handling a warning."""
    used: tuple[tuple[str, str], ...] = field(default=())
    """The parameters that were understood, for the self link."""
    setting: Setting = field(default=Setting())


def parse(
    kind: str,
    pairs: Pairs,
    *,
    base_url: str = "",
    now_us: int | None = None,
    compartment: Member | None = None,
) -> Query:
    """Return the query that parameters of a search on a type mean.

    Raises
    ------
    InvalidInput
        A value that cannot be used, an unknown modifier, or more than is allowed.
    """
    _limit(pairs)
    setting = Setting(base_url, now_us)
    shown, read = results.Shown(), _Read()
    for name, value in pairs:
        if name == AFTER:
            read.after = value
            continue
        try:
            if not results.read(shown, kind, name, value):
                read.criteria.append(condition(kind, name, value, setting))
            read.used.append((name, value))
        except UnknownParameter as error:
            read.unknown.append(Violation(f"http.{_named(name)}", str(error)))
        except Unusable as error:
            read.wrong.append(Violation(f"http.{_named(name)}", str(error)))
    if read.wrong:
        raise InvalidInput("a search parameter cannot be used", read.wrong, reason="BAD_REQUEST")
    return Query(
        kind=kind,
        criteria=tuple(read.criteria),
        compartment=compartment,
        includes=tuple(shown.includes),
        revincludes=tuple(shown.revincludes),
        sort=tuple(shown.sort),
        count=shown.count,
        total=shown.total,
        summary=shown.summary,
        elements=tuple(shown.elements),
        after=read.after,
        unknown=tuple(read.unknown),
        used=tuple(read.used),
        setting=setting,
    )


@dataclass(slots=True)
class _Read:
    """What was read so far."""

    criteria: list[Condition] = field(default_factory=list)
    unknown: list[Violation] = field(default_factory=list)
    wrong: list[Violation] = field(default_factory=list)
    used: list[tuple[str, str]] = field(default_factory=list)
    after: str = ""


def parse_criteria(kind: str, pairs: Pairs, *, base_url: str = "") -> tuple[Condition, ...]:
    """Return the conditions of a scope or a subscription, which look at one resource alone.

    Raises
    ------
    InvalidInput
        As `parse`, and for a chain, `_has`, `_include`, an unknown parameter or one that says
        how a result is to be shown.
    """
    query = parse(kind, pairs, base_url=base_url)
    wrong = list(query.unknown)
    plain = {name for name, _ in query.used if results.is_result_parameter(name)}
    wrong += [Violation(f"http.{_named(name)}", "is no condition") for name in sorted(plain)]
    for name, _ in query.used:
        if "." in name or name.startswith("_has:") or name.endswith((":in", ":not-in")):
            problem = "may not follow references or name a value set here"
            wrong.append(Violation(f"http.{_named(name)}", problem))
    if wrong:
        raise InvalidInput("a condition cannot be used", wrong, reason="BAD_REQUEST")
    return query.criteria


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:\-*]{1,64}")


def _named(name: str) -> str:
    """Return a parameter's name as an error may repeat it."""
    return name if _PLAIN_NAME.fullmatch(name) else "parameter"


def _limit(pairs: Pairs) -> None:
    wrong = []
    if len(pairs) > PARAMETERS_MAX:
        wrong.append(Violation("http", f"at most {PARAMETERS_MAX} parameters"))
    for name, value in pairs[:PARAMETERS_MAX]:
        if len(name) > NAME_MAX:
            wrong.append(Violation("http.parameter", f"a name of at most {NAME_MAX} characters"))
        elif len(value) > VALUE_MAX and name != AFTER:
            wrong.append(Violation(f"http.{_named(name)}", f"at most {VALUE_MAX} characters"))
    if wrong:
        raise InvalidInput("the search is too large", wrong, reason="BAD_REQUEST")
