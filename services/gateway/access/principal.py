"""Who is asking, and the table of what each role may do. Pure.

Deny by default: an action that is not in the table is refused to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from services.gateway.access.rights import AUDITING, EVERYTHING, NOTHING, PRACTISING, Rights
from services.kernel.errors import Forbidden


class Role(StrEnum):
    """What an account may be."""

    EHR = "ehr"
    """A hospital system: submits cases, reads resources."""
    PHYSICIAN = "physician"
    """Reads, reviews and signs reports."""
    OPERATOR = "operator"
    """Runs the mesh; sees no patient."""
    AUDITOR = "auditor"
    """Reads the audit trail; sees no report."""


class Action(StrEnum):
    """What can be asked for."""

    SUBMIT = "submit"
    UPLOAD = "upload"
    WRITE_CONSENT = "write-consent"
    READ = "read"
    WRITE = "write"
    """Change resources; which ones the account's rights say."""
    LAUNCH = "launch"
    """Say which patient an app is to be opened with."""
    METADATA = "metadata"
    REVIEW = "review"
    OPERATE = "operate"
    AUDIT = "audit"


RIGHTS: dict[Action, frozenset[Role]] = {
    Action.SUBMIT: frozenset({Role.EHR}),
    Action.UPLOAD: frozenset({Role.EHR}),
    Action.WRITE_CONSENT: frozenset({Role.EHR}),
    Action.READ: frozenset({Role.EHR, Role.PHYSICIAN, Role.AUDITOR}),
    Action.WRITE: frozenset({Role.EHR, Role.PHYSICIAN}),
    Action.LAUNCH: frozenset({Role.EHR}),
    Action.METADATA: frozenset(Role),
    Action.REVIEW: frozenset({Role.PHYSICIAN}),
    Action.OPERATE: frozenset({Role.OPERATOR}),
    Action.AUDIT: frozenset({Role.AUDITOR}),
}


RESOURCES: dict[Role, Rights] = {
    Role.EHR: EVERYTHING,
    Role.PHYSICIAN: PRACTISING,
    Role.OPERATOR: NOTHING,
    Role.AUDITOR: AUDITING,
}
"""What an account of each role may do with resources, unless its token says less."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An account that proved who it is."""

    tenant: str
    name: str
    role: Role
    display: str = ""
    practitioner: str = ""
    """Identifier of the person, "system|value"; empty for a client."""
    scopes: Rights | None = None
    """What the access token grants; None: all that the role may do."""
    client_id: str = ""
    """The SMART client that asks on the account's behalf; empty: the account itself."""
    restricted: bool = False
    """Whether the person may see what is labelled R or V, beyond what the role may."""

    @property
    def rights(self) -> Rights:
        """What may be done with resources."""
        return self.own_rights if self.scopes is None else self.scopes

    @property
    def own_rights(self) -> Rights:
        """All that the account may do, whatever a token grants of it."""
        rights = RESOURCES[self.role]
        return replace(rights, restricted=True) if self.restricted else rights


FOR_APPS: dict[Action, tuple[str, str]] = {
    Action.METADATA: ("", ""),
    Action.READ: ("", ""),
    Action.WRITE: ("", ""),
    Action.SUBMIT: ("Bundle", "c"),
    Action.WRITE_CONSENT: ("Consent", "cu"),
}
"""What a SMART access token may be used for at all: FHIR, never the pages or the operator's
addresses; with the resource type and letters one of which its scopes must allow. For READ and
WRITE each interaction holds its own resource against the scopes."""


def require(principal: Principal, action: Action) -> None:
    """Let the action pass.

    Raises
    ------
    Forbidden
        The role has no such right.
    """
    if principal.role not in RIGHTS.get(action, frozenset()):
        raise Forbidden(
            f"the role {principal.role} may not {action}", reason="ROLE_NOT_ALLOWED", action=action
        )
    if principal.client_id and not _apps_may(principal.rights, action):
        raise Forbidden(f"the access token does not allow {action}", reason="INSUFFICIENT_SCOPE")


def _apps_may(rights: Rights, action: Action) -> bool:
    if action not in FOR_APPS:
        return False
    kind, letters = FOR_APPS[action]
    return not kind or any(p.covers(kind, one) for p in rights.permissions for one in letters)
