"""Operations of Subscriptions: $status, $events, topics; and what is refused.

Source: Subscriptions R5 Backport 1.1, Operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.fhir import answers, content
from services.gateway.fhir.search import match
from services.gateway.store.subscriptions import Standing
from services.gateway.subscriptions import notification, topics
from services.gateway.subscriptions.audience import Audience
from services.gateway.subscriptions.definition import CONTENTS, PAYLOADS
from services.gateway.subscriptions.registration import Owner
from services.kernel import fhir
from services.kernel.errors import Forbidden, InvalidInput, MeshError, NotFound, Violation

EVENTS_MAX = 100
"""Events of one answer of `$events`."""
PARAMETERS_BYTES_MAX = 64 << 10
Pairs = list[tuple[str, str]]


class NotServed(MeshError):
    """The gateway has no such channel or operation."""

    issue = "not-supported"
    grpc_status = "UNIMPLEMENTED"


async def status_of_one(call: Call) -> Response:
    """Answer `$status` of one Subscription."""
    return await _statuses(call, [call.path("id")], require=True)


async def status_of_many(call: Call) -> Response:
    """Answer `$status` of those that `id` and `status` name; of all without them."""
    pairs = await _parameters(call)
    _only(pairs, ("id", "status"))
    ids = [part for name, text in pairs if name == "id" for part in text.split(",")]
    wanted = {part for name, text in pairs if name == "status" for part in text.split(",")}
    return await _statuses(call, ids or None, wanted)


async def events(call: Call) -> Response:
    """Answer `$events`: what was missed, as a notification Bundle of type query-event."""
    _require_reader(call)
    standing = await _own(call)
    pairs = await _parameters(call)
    _only(pairs, ("eventsSinceNumber", "eventsUntilNumber", "content"))
    named = dict(pairs)
    since = _number(named, "eventsSinceNumber", 1)
    until = _number(named, "eventsUntilNumber", 0)
    shown = _content(standing, named.get("content", ""))
    found = await call.store.subscriptions.events(
        call.tenant, standing.id, after=since - 1, until=until, limit=EVENTS_MAX
    )
    told = await Audience(call.gateway).told(shown, found)
    bundle = notification.bundle(
        shown, notification.QUERY_EVENT, told, call.store.database.now_us()
    )
    seen = [f"{one.event.type}/{one.event.id}" for one in told if not one.hidden]
    await call.audit(
        "$events",
        f"Subscription/{standing.id}",
        seen=seen,
        query=trail.query_of(call.request),
    )
    return answers.json_resource(bundle)


async def websocket_token(call: Call) -> Response:
    """Refuse `$get-ws-binding-token`."""
    _require_reader(call)
    raise NotServed("there is no websocket channel; subscribe with a rest-hook")


async def list_topics(call: Call) -> Response:
    """Return the topics as a searchset of SubscriptionTopics, in the shape of R4B."""
    _require_reader(call)
    pairs = list(call.request.query_params.multi_items())
    _only(pairs, ("url", "_format"))
    urls = {text for name, text in pairs if name == "url"}
    found = [topic for topic in topics.TOPICS if not urls or topic.url in urls]
    base = f"{call.base_url}/fhir"
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(found),
        "link": [{"relation": "self", "url": f"{base}/SubscriptionTopic"}],
    }
    if found:
        bundle["entry"] = [
            {
                "fullUrl": f"{base}/SubscriptionTopic/{topic.id}",
                "resource": topics.definition(topic),
                "search": {"mode": "match"},
            }
            for topic in found
        ]
    return answers.json_resource(bundle)


async def show_topic(call: Call) -> Response:
    """Return one topic."""
    _require_reader(call)
    for topic in topics.TOPICS:
        if topic.id == call.path("id"):
            return answers.json_resource(topics.definition(topic))
    raise NotFound("there is no such topic; GET /fhir/SubscriptionTopic lists them")


async def _statuses(
    call: Call, ids: Sequence[str] | None, wanted: set[str] | None = None, *, require: bool = False
) -> Response:
    _require_reader(call)
    standings = [
        standing
        for standing in await call.store.subscriptions.standings(call.tenant, ids)
        if (not wanted or standing.status in wanted)
    ]
    visible = await _visible(call, [standing.id for standing in standings])
    shown = [standing for standing in standings if standing.id in visible]
    if require and not shown:
        raise NotFound("there is no such Subscription")
    said = [notification.status(one, notification.QUERY_STATUS) for one in shown]
    name = f"Subscription/{ids[0]}" if require and ids else "Subscription"
    await call.audit("$status", name, query=trail.query_of(call.request))
    return answers.json_resource(notification.searchset(said, call.base_url))


def _require_reader(call: Call) -> None:
    """Let a caller pass that takes JSON and may read Subscriptions at all.

    Raises
    ------
    NotAcceptable, Forbidden
    """
    answers.accept_json(call.request)
    call.principal.rights.covering("Subscription", "r")


async def _visible(call: Call, ids: Sequence[str]) -> set[str]:
    """Return which Subscriptions the caller may read."""
    visibility = call.principal.rights.visibility("r")
    keys = [("Subscription", one) for one in ids]
    found = await call.store.resources.find_many(call.tenant, keys)
    return {
        stored.id
        for stored in found
        if not stored.deleted and match.visible(visibility, fhir.parse(stored.content))
    }


async def _own(call: Call) -> Standing:
    """Return the Subscription of the path, which must be the caller's.

    Raises
    ------
    NotFound, Forbidden
    """
    standing = await call.store.subscriptions.standing(call.tenant, call.path("id"))
    if standing is None or standing.id not in await _visible(call, [standing.id]):
        raise NotFound("there is no such Subscription")
    owner = standing.registration.owner
    if not owner.same(Owner.of(call.principal)):
        raise Forbidden("the events are shown to the Subscription's owner", reason="NOT_THE_OWNER")
    # The token that asks may allow less than the one the Subscription was written with.
    owner = replace(owner, scopes=owner.rights().within(call.principal.rights))
    return replace(standing, registration=replace(standing.registration, owner=owner))


async def _parameters(call: Call) -> Pairs:
    """Return the parameters of the query, or of the Parameters that were sent.

    Raises
    ------
    InvalidInput
    """
    pairs = [p for p in call.request.query_params.multi_items() if p[0] not in ("_format",)]
    if call.request.method != "POST" or not content.media_type(call):
        return pairs
    _, resource = await content.read_json(call, PARAMETERS_BYTES_MAX)
    content.require_type(resource, "Parameters")
    found = resource.get("parameter", [])
    for parameter in found if isinstance(found, list) else []:
        if not isinstance(parameter, dict):
            continue
        values = [v for k, v in parameter.items() if k.startswith("value")]
        if len(values) == 1 and isinstance(values[0], str | int):
            pairs.append((str(parameter.get("name", "")), str(values[0])))
    return pairs


def _only(pairs: Pairs, known: Sequence[str]) -> None:
    """Let parameters pass that are served; none is silently ignored.

    Raises
    ------
    InvalidInput
    """
    if any(name not in known for name, _ in pairs):
        problem = Violation("Parameters.parameter", f"served: {', '.join(known)}")
        raise InvalidInput("a parameter is not served", [problem], reason="BAD_REQUEST")


def _number(named: Mapping[str, str], name: str, default: int) -> int:
    text = named.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        problem = Violation(f"Parameters.parameter({name})", "a whole number")
        raise InvalidInput("a number cannot be used", [problem], reason="BAD_REQUEST")
    return int(text)


def _content(standing: Standing, text: str) -> Standing:
    """Return a Subscription with the content that is asked for, within what it has.

    Raises
    ------
    InvalidInput
    """
    if not text:
        return standing
    if text not in (*CONTENTS, *PAYLOADS):
        problem = Violation("Parameters.parameter(content)", f"one of {', '.join(CONTENTS)}")
        raise InvalidInput("the content cannot be used", [problem], reason="BAD_REQUEST")
    if text in PAYLOADS:
        return standing
    definition = replace(standing.registration.definition, content=text)
    return replace(standing, registration=replace(standing.registration, definition=definition))
