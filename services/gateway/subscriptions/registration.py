"""What is kept of a Subscription besides the resource: whose it is, and its secrets. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import orjson

from services.gateway.access.principal import RESOURCES, Principal, Role
from services.gateway.access.rights import Permission, Rights
from services.gateway.subscriptions.definition import Criterion, Definition


@dataclass(frozen=True, slots=True)
class Owner:
    """The account that wrote the Subscription last: it is shown what that account may see."""

    name: str
    role: str
    client_id: str = ""
    scopes: Rights | None = None
    """What its access token granted; None: all that the role may do."""

    @classmethod
    def of(cls, principal: Principal) -> Owner:
        """Return who asks, as an owner."""
        return cls(principal.name, str(principal.role), principal.client_id, principal.scopes)

    def same(self, other: Owner) -> bool:
        """Tell whether both are one account through one client."""
        mine = (self.name, self.role, self.client_id)
        return mine == (other.name, other.role, other.client_id)

    def rights(self) -> Rights:
        """Return what it may see now: its scopes, never more than its role has today."""
        limit = RESOURCES[Role(self.role)]
        return limit if self.scopes is None else self.scopes.within(limit)


@dataclass(frozen=True, slots=True)
class Registration:
    """What delivery goes by."""

    definition: Definition
    owner: Owner
    base_url: str
    """Address the client reached the gateway under, without a slash at the end."""


def dump(registration: Registration) -> bytes:
    """Return a registration as JSON; it holds secrets, so it is stored sealed alone."""
    owner = registration.owner
    scopes: dict[str, Any] | None = None
    if owner.scopes is not None:
        permissions = [
            {
                "kind": p.kind,
                "letters": "".join(sorted(p.letters)),
                "patient": p.patient,
                "criteria": p.criteria,
            }
            for p in owner.scopes.permissions
        ]
        scopes = {"permissions": permissions, "restricted": owner.scopes.restricted}
    return orjson.dumps(
        {
            "definition": asdict(registration.definition),
            "owner": {
                "name": owner.name,
                "role": owner.role,
                "client_id": owner.client_id,
                "scopes": scopes,
            },
            "base_url": registration.base_url,
        }
    )


def load(content: bytes) -> Registration:
    """Return the registration in JSON."""
    value = orjson.loads(content)
    stated: dict[str, Any] = value["definition"]
    criteria = tuple(
        Criterion(c["kind"], tuple((n, v) for n, v in c["pairs"])) for c in stated["criteria"]
    )
    stated |= {"criteria": criteria, "headers": tuple(stated["headers"])}
    owner = value["owner"]
    return Registration(
        Definition(**stated),
        Owner(owner["name"], owner["role"], owner["client_id"], _rights(owner["scopes"])),
        value["base_url"],
    )


def _rights(value: dict[str, Any] | None) -> Rights | None:
    if value is None:
        return None
    permissions = tuple(
        Permission(
            p["kind"],
            frozenset(p["letters"]),
            p["patient"],
            tuple((n, v) for n, v in p["criteria"]),
        )
        for p in value["permissions"]
    )
    return Rights(permissions, value["restricted"])
