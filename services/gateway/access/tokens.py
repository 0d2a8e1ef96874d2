"""Who a SMART access token speaks for, remembered for a moment so that reads stay fast.

A token is opaque; what it stands for is in the store. Each process remembers an answer for
`REMEMBERED_S`: that is how long a revocation made by another replica may take to be seen.
One made here is seen at once, and the time a token ends is checked at every use.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from services.gateway.access import scopes
from services.gateway.access.accounts import Accounts
from services.gateway.access.principal import RESOURCES, Principal, Role
from services.gateway.store.smart import SmartStore
from services.gateway.store.smart_grants import Grant, Token
from services.gateway.store.smart_sealed import hashed

US = 1_000_000
REMEMBERED_S = 2.0
REMEMBERED_MAX = 4096
TOKEN_CHARS = 43
"""Of 32 random bytes as base64url: what is of another length is none of ours."""


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was looked up."""

    principal: Principal
    expires_us: int
    read_us: int


class Tokens:
    """Access tokens of every tenant."""

    def __init__(self, store: SmartStore, accounts: Accounts) -> None:
        self._store = store
        self._accounts = accounts
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._revision = 0

    async def principal(self, token: str) -> Principal | None:
        """Return who asks, or None for a token that is not good (any more)."""
        if len(token) != TOKEN_CHARS:
            return None
        now, key = self._store.grants.now_us(), hashed(token)
        if self._revision != self._store.grants.revision:
            self._known.clear()
            self._revision = self._store.grants.revision
        known = self._known.get(key)
        if known is None or now - known.read_us > REMEMBERED_S * US:
            known = await self._look_up(token, now)
            if known is None:
                self._known.pop(key, None)
                return None
            self._known[key] = known
            if len(self._known) > REMEMBERED_MAX:
                self._known.popitem(last=False)
        return known.principal if now < known.expires_us else None

    async def _look_up(self, token: str, now_us: int) -> Known | None:
        found = await self._store.grants.token(token)
        if found is None or found.refresh or not is_live(found, now_us):
            return None
        principal = principal_of(found.grant, found.scope, self._accounts)
        return Known(principal, found.expires_us, now_us) if principal else None


def is_live(token: Token, now_us: int) -> bool:
    """Tell whether a token may be used: not expired, not used up, its family not ended."""
    ended = token.grant.revoked_us or token.grant.ends_us <= now_us
    return not ended and now_us < token.expires_us and not (token.refresh and token.used_us)


def principal_of(grant: Grant, scope: str, accounts: Accounts) -> Principal | None:
    """Return whom a grant speaks for; None when the account is gone or may not use apps.

    The grants of a client end with the client, so it need not be asked for.
    """
    asked = scopes.parse(scope)
    patient = str(grant.content.get("patient", ""))
    if not grant.account:
        role = Role(grant.content["role"])
        rights = scopes.rights(asked.of("system"), RESOURCES[role], "")
        return Principal(
            grant.tenant, grant.client_id, role, scopes=rights, client_id=grant.client_id
        )
    account = accounts.by_name.get((grant.tenant, grant.account))
    if account is None or account.role is not Role.PHYSICIAN:
        return None
    own = (*asked.of("patient"), *asked.of("user"))
    return Principal(
        account.tenant,
        account.name,
        account.role,
        account.display,
        account.practitioner,
        scopes.rights(own, account.own_rights, patient),
        grant.client_id,
    )
