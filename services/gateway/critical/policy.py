"""After how long an unread notice is told again, how often, and to whom. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.critical.communication import RECIPIENTS
from services.kernel.errors import InvalidInput

US = 1_000_000
_TENANT = re.compile(r"[a-z0-9-]{1,64}")
_RECIPIENT = re.compile(rf"({'|'.join(sorted(RECIPIENTS))})/[A-Za-z0-9.-]{{1,64}}")


@dataclass(frozen=True, slots=True)
class Policy:
    """How one tenant's notices are told again."""

    minutes: float
    """From the first telling, and from each one to the next; 0: never again."""
    times: int
    recipients: tuple[str, ...] = ()
    """References of whom an escalation is for; empty: those of the first telling."""

    def next_us(self, sent_us: int, escalations: int) -> int:
        """Return when it is told again, µs; 0: never (any more)."""
        if not self.minutes or escalations >= self.times:
            return 0
        return sent_us + int(self.minutes * 60 * US)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policy of every tenant."""

    default: Policy
    own: Mapping[str, Policy]

    def of(self, tenant: str) -> Policy:
        """Return a tenant's policy."""
        return self.own.get(tenant, self.default)

    @property
    def shortest_us(self) -> int:
        """Shortest time of any tenant to the next telling, µs."""
        every = [self.default, *self.own.values()]
        return int(min((each.minutes for each in every if each.minutes), default=0) * 60 * US)


def parse(minutes: float, times: int, tenants: str) -> Policies:
    """Return the policies from the settings.

    Parameters
    ----------
    tenants : `tenant=minutes [times [recipient …]]`, between `;`

    Raises
    ------
    InvalidInput
        Names the tenant whose entry cannot be read.
    """
    if not 0 <= minutes < 60 * 24 or times < 0:
        raise InvalidInput("the time to escalation is 0 minutes to a day, and how often from 0")
    default = Policy(minutes, times)
    own: dict[str, Policy] = {}
    for entry in filter(None, (part.strip() for part in tenants.split(";"))):
        tenant, _, rest = entry.partition("=")
        words = rest.split()
        try:
            wait = float(words[0])
            often = int(words[1]) if len(words) > 1 else times
            if not (_TENANT.fullmatch(tenant) and 0 <= wait < 60 * 24 and often >= 0):
                raise ValueError
            if any(not _RECIPIENT.fullmatch(each) for each in words[2:]):
                raise ValueError
        except (ValueError, IndexError) as error:
            raise InvalidInput(
                f"the escalation of {tenant[:64]!r} is not `minutes times recipient …`"
            ) from error
        own[tenant] = Policy(wait, often, tuple(words[2:]))
    return Policies(default, own)
