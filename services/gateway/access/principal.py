"""Who is asking, and the table of what each role may do. Pure.

Deny by default: an action that is not in the table is refused to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.gateway.access.rights import AUDITING, EVERYTHING, NOTHING, READING, Rights
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
    METADATA = "metadata"
    REVIEW = "review"
    OPERATE = "operate"
    AUDIT = "audit"


RIGHTS: dict[Action, frozenset[Role]] = {
    Action.SUBMIT: frozenset({Role.EHR}),
    Action.UPLOAD: frozenset({Role.EHR}),
    Action.WRITE_CONSENT: frozenset({Role.EHR}),
    Action.READ: frozenset({Role.EHR, Role.PHYSICIAN}),
    Action.METADATA: frozenset(Role),
    Action.REVIEW: frozenset({Role.PHYSICIAN}),
    Action.OPERATE: frozenset({Role.OPERATOR}),
    Action.AUDIT: frozenset({Role.AUDITOR}),
}


RESOURCES: dict[Role, Rights] = {
    Role.EHR: EVERYTHING,
    Role.PHYSICIAN: READING,
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

    @property
    def rights(self) -> Rights:
        """What may be done with resources."""
        return RESOURCES[self.role] if self.scopes is None else self.scopes


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
