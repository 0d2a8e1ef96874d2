"""What a Subscription asks for: read, checked, and with its secrets taken out. Pure.

Two forms. Of R4: `criteria` is a search ("Observation?code=…"), and `channel.payload` says
whether the resource is sent along. Of the Subscriptions R5 Backport IG: `criteria` is the
canonical address of a topic, with filters and the rest in extensions.

Source: R4 subscription; Subscriptions R5 Backport 1.1, backport-subscription.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from services.gateway.subscriptions.topics import BY_URL, PREFIX, Topic
from services.kernel.errors import InvalidInput, Violation

Json = Any

IG = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
MASK = "***"
"""Stands for a header's value wherever a Subscription is shown."""
PAYLOADS = frozenset({"application/fhir+json", "application/json"})
CONTENTS = ("empty", "id-only", "full-resource")
HEADERS_MAX, HEADER_CHARS_MAX, FILTERS_MAX = 16, 2048, 16
HEARTBEAT_S_MIN, TIMEOUT_S_MAX, COUNT_MAX = 10, 60, 100
DEFAULT_TIMEOUT_S = 10
RESERVED = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te",
     "upgrade", "trailer", "expect", "keep-alive", "proxy-connection"}
)  # fmt: skip
"""Headers the gateway sets, or that would change what a request is."""
_HEADER_NAME = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class NotSubscribable(InvalidInput):
    """A Subscription asks for something that is not served; each violation says what is."""

    issue = "not-supported"


@dataclass(frozen=True, slots=True)
class Criterion:
    """A search that a resource must meet."""

    kind: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Everything delivery needs to know of a Subscription."""

    criteria: tuple[Criterion, ...]
    """Of R4: one. Of a topic: its filters, all of which must be met."""
    topic: str = ""
    """Canonical address; empty: the form of R4."""
    endpoint: str
    headers: tuple[str, ...] = ()
    """"Name: value", secret."""
    payload: str = ""
    content: str = "full-resource"
    """Of a topic: what is said of a resource; empty, id-only or full-resource."""
    heartbeat_s: int = 0
    """Longest silence; 0: any."""
    timeout_s: int = DEFAULT_TIMEOUT_S
    count_max: int = 1
    """Events of one notification."""
    end_us: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Resource types whose changes may be events."""
        if self.topic:
            return BY_URL[self.topic].kinds
        return tuple(criterion.kind for criterion in self.criteria)


def read(resource: Mapping[str, Json], kept: Sequence[str] = ()) -> Definition:
    """Return what a valid R4 Subscription asks for.

    Parameters
    ----------
    kept : headers known from before; a header whose value is masked keeps its value

    Raises
    ------
    NotSubscribable
        Every problem with its path.
    """
    problems: list[Violation] = []
    channel = resource.get("channel", {})
    topic = _topic(resource, problems)
    content, payload = _payload(channel, topic is not None, problems)
    _channel_type(channel, problems)
    numbers = {
        "heartbeat_s": _number(channel, "backport-heartbeat-period", 0, problems),
        "timeout_s": _number(channel, "backport-timeout", DEFAULT_TIMEOUT_S, problems),
        "count_max": _number(channel, "backport-max-count", 1, problems),
    }
    if 0 < numbers["heartbeat_s"] < HEARTBEAT_S_MIN:
        problem = f"at least {HEARTBEAT_S_MIN} s between heartbeats, or 0 for none"
        problems.append(Violation("Subscription.channel.extension", problem))
    criteria = _filters(resource, topic, problems) if topic else _criteria(resource, problems)
    made = Definition(
        criteria=criteria,
        topic=topic.url if topic else "",
        endpoint=_endpoint(channel, problems),
        headers=_headers(channel, kept, problems),
        payload=payload,
        content=content,
        heartbeat_s=numbers["heartbeat_s"],
        timeout_s=max(1, min(numbers["timeout_s"], TIMEOUT_S_MAX)),
        count_max=max(1, min(numbers["count_max"], COUNT_MAX)),
        end_us=_end(resource, problems),
    )
    if problems:
        raise NotSubscribable(
            "the Subscription cannot be served", problems, reason="SUBSCRIPTION_NOT_SERVED"
        )
    return made


def masked(resource: Mapping[str, Json]) -> dict[str, Json]:
    """Return a Subscription as it may be shown: header names with their values masked."""
    channel = resource.get("channel")
    if not isinstance(channel, dict) or "header" not in channel:
        return dict(resource)
    names = [f"{str(line).partition(':')[0].strip()}: {MASK}" for line in channel["header"]]
    kept = {name: value for name, value in channel.items() if name != "_header"}
    return {**resource, "channel": {**kept, "header": names}}


def extensions(element: Json, name: str) -> list[dict[str, Json]]:
    """Return the extensions of an element that the Backport IG defines under a name."""
    found = element.get("extension", []) if isinstance(element, dict) else []
    return [e for e in found if isinstance(e, dict) and e.get("url") == IG + name]


def _topic(resource: Mapping[str, Json], problems: list[Violation]) -> Topic | None:
    """Return the topic; None: the form of R4."""
    named = extensions(resource, "backport-topic-canonical")
    criteria = str(resource.get("criteria", ""))
    url = str(named[0].get("valueUri") or named[0].get("valueCanonical") or "") if named else ""
    if not url and "?" not in criteria and ":" in criteria:
        url = criteria
    if not url:
        return None
    if (topic := BY_URL.get(url.partition("|")[0])) is None:
        served = ", ".join(BY_URL)
        problems.append(Violation("Subscription.criteria", f"no topic here; served: {served}"))
        return BY_URL[PREFIX + "case-status"]  # looked at further, and refused in any case
    return topic


def _channel_type(channel: Mapping[str, Json], problems: list[Violation]) -> None:
    if channel.get("type") != "rest-hook" or extensions(
        channel.get("_type"), "backport-channel-type"
    ):
        where = "Subscription.channel.type"
        problems.append(Violation(where, "only rest-hook is served, no websocket, email or sms"))


def _payload(
    channel: Mapping[str, Json], by_topic: bool, problems: list[Violation]
) -> tuple[str, str]:
    """Return content and MIME type of what is sent."""
    payload = str(channel.get("payload", "")).partition(";")[0].strip()
    if payload and payload not in PAYLOADS:
        problem = Violation("Subscription.channel.payload", "only application/fhir+json is served")
        problems.append(problem)
    stated = extensions(channel.get("_payload"), "backport-payload-content")
    content = str(stated[0].get("valueCode", "")) if stated else ("empty" if by_topic else "")
    if by_topic:
        if content not in CONTENTS:
            where = "Subscription.channel.payload.extension"
            problems.append(Violation(where, f"one of {', '.join(CONTENTS)}"))
        return content, payload or "application/fhir+json"
    return ("full-resource" if payload else "empty"), payload


def _number(channel: Mapping[str, Json], name: str, default: int, problems: list[Violation]) -> int:
    found = extensions(channel, name)
    if not found:
        return default
    value = found[0].get("valueUnsignedInt", found[0].get("valuePositiveInt"))
    if not isinstance(value, int) or not 0 <= value < 1 << 31:
        where = "Subscription.channel.extension"
        problems.append(Violation(where, f"{name} must be a whole number, 0 or more"))
        return default
    return value


def _criteria(resource: Mapping[str, Json], problems: list[Violation]) -> tuple[Criterion, ...]:
    text = str(resource.get("criteria", ""))
    kind, _, query = text.partition("?")
    if not kind.isalpha() or not kind[:1].isupper():
        served = f'"Type?parameter=value", or a topic: {", ".join(BY_URL)}'
        problems.append(Violation("Subscription.criteria", served))
        return ()
    return (Criterion(kind, _pairs(query, "Subscription.criteria", problems)),)


def _filters(
    resource: Mapping[str, Json], topic: Topic, problems: list[Violation]
) -> tuple[Criterion, ...]:
    """Return the filters of a topic; "Type?a=b" and "a=b" are both written."""
    where = "Subscription.criteria.extension"
    found: list[Criterion] = []
    stated = extensions(resource.get("_criteria"), "backport-filter-criteria")
    if len(stated) > FILTERS_MAX:
        problems.append(Violation(where, f"at most {FILTERS_MAX} filters"))
    for extension in stated[:FILTERS_MAX]:
        text = str(extension.get("valueString", ""))
        kind, mark, query = text.rpartition("?")
        pairs = _pairs(query, where, problems)
        kinds = (kind,) if mark else topic.kinds
        if not pairs or any(k not in topic.kinds for k in kinds):
            problems.append(Violation(where, f"a filter is {topic.kinds[0]}?parameter=value"))
            continue
        unknown = [n for n, _ in pairs if n.partition(":")[0] not in topic.filters]
        if unknown:
            problems.append(Violation(where, f"filters are: {', '.join(topic.filters)}"))
        found += [Criterion(k, pairs) for k in kinds]
    return tuple(found)


def _pairs(query: str, where: str, problems: list[Violation]) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        problems.append(Violation(where, "the query cannot be read"))
        return ()
    return tuple(pairs)


def _endpoint(channel: Mapping[str, Json], problems: list[Violation]) -> str:
    endpoint = channel.get("endpoint")
    if not isinstance(endpoint, str) or not endpoint:
        problems.append(Violation("Subscription.channel.endpoint", "a rest-hook needs an address"))
        return ""
    return endpoint


def _headers(
    channel: Mapping[str, Json], kept: Sequence[str], problems: list[Violation]
) -> tuple[str, ...]:
    known = {line.partition(":")[0].strip().lower(): line for line in kept}
    found: list[str] = []
    lines = channel.get("header", [])
    where = "Subscription.channel.header"
    if len(lines) > HEADERS_MAX:
        problems.append(Violation(where, f"at most {HEADERS_MAX} headers"))
    for line in lines[:HEADERS_MAX]:
        name, colon, value = str(line).partition(":")
        name, value = name.strip(), value.strip()
        safe = value.isascii() and value.isprintable() and len(line) <= HEADER_CHARS_MAX
        if not colon or not name or set(name.lower()) - _HEADER_NAME or not safe:
            problems.append(Violation(where, 'a header is "Name: value", printable ASCII'))
        elif name.lower() in RESERVED:
            problems.append(Violation(where, f"the gateway sets {name.lower()} itself"))
        elif value == MASK and name.lower() not in known:
            problems.append(Violation(where, "a masked value is not known; send the value"))
        else:
            found.append(known[name.lower()] if value == MASK else f"{name}: {value}")
    return tuple(found)


def _end(resource: Mapping[str, Json], problems: list[Violation]) -> int:
    if (text := resource.get("end")) is None:
        return 0
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        problems.append(Violation("Subscription.end", "an instant with its time zone"))
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000_000)
