"""Whom events are told, and what of them they may see at this moment."""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.access.principal import Role
from services.gateway.call import Gateway
from services.gateway.store.audit import AuditEntry
from services.gateway.store.resources import Stored
from services.gateway.store.subscriptions import Event, Standing
from services.gateway.subscriptions import matching
from services.gateway.subscriptions.notification import Told
from services.gateway.subscriptions.registration import Owner
from services.kernel import fhir
from services.kernel.errors import MeshError


class Audience:
    """The owners of subscriptions, by today's accounts, clients and rights."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def stands(self, tenant: str, owner: Owner) -> bool:
        """Tell whether the owner's account, and its client, still exist."""
        accounts = self._gateway.accounts
        if owner.client_id:
            client = await self._gateway.store.smart.clients.find(owner.client_id)
            if client is None or client.client.tenant != tenant:
                return False
            if owner.role != Role.PHYSICIAN:
                return True
        user = accounts.by_name.get((tenant, owner.name))
        known = [*accounts.by_token.values(), *([user] if user else [])]
        return any(
            (p.tenant, p.name, str(p.role)) == (tenant, owner.name, owner.role) for p in known
        )

    async def told(self, standing: Standing, events: Sequence[Event]) -> list[Told]:
        """Return events as the owner of a Subscription may be told of them.

        Held against today's rights: the version the event is about, and the resource as it is
        now. One that left the owner's compartment or scope, or was deleted, is not shown.
        """
        tenant = standing.tenant
        keys = list(dict.fromkeys((event.type, event.id) for event in events))
        found = await self._gateway.store.resources.find_many(tenant, keys)
        current = {(stored.type, stored.id): stored for stored in found}
        content = standing.registration.definition.content
        told: list[Told] = []
        for event in events:
            now = current.get((event.type, event.id))
            version = await self._version(tenant, event, now)
            shown = bool(now and not now.deleted)
            for stored in {s.version: s for s in (now, version) if s and shown}.values():
                resource = fhir.parse(stored.content)
                shown = shown and matching.may_see(standing.registration, resource)
            sent = version.content if shown and version and content == "full-resource" else b""
            told.append(Told(event, sent, hidden=not shown))
        return told

    def entry(self, standing: Standing, told: Sequence[Told]) -> AuditEntry:
        """Return the audit entry of a notification: what left the house, for whom."""
        owner = standing.registration.owner
        seen = tuple(
            f"{one.event.type}/{one.event.id}/_history/{one.event.version}"
            for one in told
            if not one.hidden
        )
        return AuditEntry(
            tenant=standing.tenant,
            interaction="notify",
            agent=owner.name,
            role=owner.role,
            client_id=owner.client_id,
            resource=f"Subscription/{standing.id}",
            seen=tuple(dict.fromkeys(seen)),
        )

    async def _version(self, tenant: str, event: Event, now: Stored | None) -> Stored | None:
        """Return the version an event is about; None when its history was forgotten."""
        if now and now.version == event.version:
            return now
        resources = self._gateway.store.resources
        try:
            return await resources.read_version(tenant, event.type, event.id, event.version)
        except MeshError as error:
            if error.grpc_status != "NOT_FOUND":
                raise
            return None
