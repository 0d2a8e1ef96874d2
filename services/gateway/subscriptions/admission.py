"""A Subscription that a client writes: checked before the lock, registered under it.

`fhir.writes` calls `check` for every Subscription that comes (create, update, patch, Bundle)
and `keep` in the transaction that stores it. What is stored to be read has its headers
masked; their values are in the registration alone, which is sealed and never shown.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir.search.query import parse_criteria
from services.gateway.fhir.types import TYPES
from services.gateway.store.stored import Stored
from services.gateway.store.subscriptions import OFF
from services.gateway.store.writing import Writing
from services.gateway.subscriptions.definition import (
    MASK,
    Definition,
    NotSubscribable,
    masked,
    read,
)
from services.gateway.subscriptions.numbering import SILENT
from services.gateway.subscriptions.registration import Owner, Registration
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Unavailable, Violation

Json = dict[str, Any]
PER_TENANT_MAX = 1000
"""Subscriptions of one tenant that are not off."""


async def check(call: Call, resource: Json) -> Json:
    """Look whether a Subscription can be served, and return it as it came.

    Raises
    ------
    NotSubscribable
        A channel, criterion or header that is not served.
    AddressRefused
        The operator's lists do not allow the endpoint; its name was resolved.
    Forbidden
        No scope lets the caller read what it asks for.
    """
    if resource.get("status") == OFF:
        return resource  # nothing is delivered, so nothing need be servable
    if problems := await asyncio.to_thread(fhir.problems, resource):
        raise InvalidInput("the Subscription does not conform to R4", problems)
    definition = read(resource, kept=_guess(resource))
    require_criteria(definition)
    for kind in definition.kinds:
        call.principal.rights.covering(kind, "r")
    with suppress(Unavailable):  # the name may resolve later; each delivery looks again
        await call.gateway.outbound.check(call.tenant, definition.endpoint)
    return resource


async def keep(
    call: Call, writing: Writing, resource: Json, subscription_id: str, before: Stored | None
) -> tuple[Json, str]:
    """Register a checked Subscription under the tenant's lock.

    Returns
    -------
    The resource as it is to be stored (headers masked, status the server's), and its id.

    Raises
    ------
    NotSubscribable, InvalidInput
        A masked header with no value known, or meant for another endpoint.
    """
    subscription_id = subscription_id or str(uuid.uuid4())
    subscriptions = call.store.subscriptions
    if resource.get("status") == OFF:
        await subscriptions.turn_off(writing.connection, writing.tenant, subscription_id)
        return masked(resource), subscription_id
    owner = Owner.of(call.principal)
    known = await subscriptions.registered(writing.connection, writing.tenant, subscription_id)
    kept: tuple[str, ...] = ()
    if known and known.owner.same(owner):
        endpoint = resource.get("channel", {}).get("endpoint")
        kept = known.definition.headers if known.definition.endpoint == endpoint else ()
    definition = read(resource, kept)
    others = await subscriptions.count(writing.connection, writing.tenant)
    if (before is None or before.deleted) and others >= PER_TENANT_MAX:
        raise InvalidInput(
            f"there are {PER_TENANT_MAX} subscriptions already", reason="TOO_MANY_SUBSCRIPTIONS"
        )
    registration = Registration(definition, owner, call.base_url)
    await subscriptions.register(
        writing.connection, writing.tenant, subscription_id, registration, "requested"
    )
    shown = masked(resource) | {"status": "requested"}
    shown.pop("error", None)
    return shown, subscription_id


def require_criteria(definition: Definition) -> None:
    """Let criteria pass that every version can be held against.

    Raises
    ------
    NotSubscribable
        An unknown type or search parameter, or a type whose changes are no events.
    """
    where = "Subscription.criteria"
    problems: list[Violation] = []
    for criterion in definition.criteria:
        if criterion.kind not in TYPES or criterion.kind in SILENT:
            problems.append(Violation(where, "changes of this type are no events"))
            continue
        try:
            parse_criteria(criterion.kind, criterion.pairs)
        except InvalidInput as error:
            problems += [Violation(where, _said(v)) for v in error.violations]
    if problems:
        raise NotSubscribable(
            "the criteria cannot be served", problems, reason="CRITERIA_NOT_SERVED"
        )


def _said(violation: Violation) -> str:
    """Return a problem with the parameter it is about."""
    return f"{violation.path.removeprefix('http.')}: {violation.problem}"


def _guess(resource: Json) -> list[str]:
    """Return a stand-in for each masked header: whether its value is known is seen in `keep`."""
    lines = [str(line) for line in resource["channel"].get("header", [])]
    return [line for line in lines if line.partition(":")[2].strip() == MASK]
