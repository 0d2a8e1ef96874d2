"""What a caller may see and change of the FHIR store, as data. Pure.

Rights are a list of permissions, and nothing else is allowed. A permission names a resource
type, letters of SMART App Launch 2.2 (c create, r read, u update, d delete, s search), a
Patient compartment or none, and search criteria that a resource must meet. A caller sees a
resource that at least one permission fits.

Source: SMART App Launch 2.2.0, Scopes; R4 compartmentdefinition.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.errors import Forbidden

ANY = "*"
LETTERS = frozenset("cruds")


@dataclass(frozen=True, slots=True)
class Permission:
    """One scope, or one line of what a role may do."""

    kind: str
    """Resource type, or "*" for every type but those of `PRIVATE`."""
    letters: frozenset[str]
    patient: str = ""
    """Id of the Patient whose compartment a resource must be in; empty: any."""
    criteria: tuple[tuple[str, str], ...] = ()
    """Search parameters with values, all of which a resource must meet."""

    def covers(self, kind: str, letter: str) -> bool:
        """Tell whether this may allow `letter` on resources of a type."""
        return self.names(kind) and letter in self.letters

    def names(self, kind: str) -> bool:
        """Tell whether this is about a type at all."""
        return self.kind == kind or (self.kind == ANY and kind not in PRIVATE)


PRIVATE = frozenset({"AuditEvent"})
"""Types that "*" does not include: they must be named."""


@dataclass(frozen=True, slots=True)
class Visibility:
    """Which resources of which types may be seen: those any rule fits, less what is labelled."""

    rules: tuple[Permission, ...]
    restricted: bool = False
    """Whether resources labelled R or V (v3-Confidentiality) are shown as well."""

    def of(self, kind: str) -> tuple[Permission, ...] | None:
        """Return the rules that apply to a type; None: every resource of it may be seen.

        An empty tuple means that none may.
        """
        rules = tuple(rule for rule in self.rules if rule.names(kind))
        if any(not rule.patient and not rule.criteria for rule in rules):
            return None
        return rules


@dataclass(frozen=True, slots=True)
class Rights:
    """Everything a caller may do with resources."""

    permissions: tuple[Permission, ...]
    restricted: bool = False

    def visibility(self, letter: str) -> Visibility:
        """Return what may be seen under "r" or "s"."""
        kept = tuple(p for p in self.permissions if letter in p.letters)
        return Visibility(kept, self.restricted)

    def within(self, limit: Rights) -> Rights:
        """Return what both these rights and `limit` allow."""
        both = [
            shared
            for own in self.permissions
            for other in limit.permissions
            if (shared := _shared(own, other))
        ]
        return Rights(tuple(dict.fromkeys(both)), self.restricted and limit.restricted)

    def covering(self, kind: str, letter: str) -> tuple[Permission, ...]:
        """Return the permissions that may allow `letter` on a type.

        Raises
        ------
        Forbidden
            There is none.
        """
        found = tuple(p for p in self.permissions if p.covers(kind, letter))
        if not found:
            raise Forbidden(
                f"no scope allows this interaction on {kind}", reason="INSUFFICIENT_SCOPE"
            )
        return found


def _shared(own: Permission, other: Permission) -> Permission | None:
    """Return what both permissions allow, or None where that is nothing."""
    letters = own.letters & other.letters
    if own.names(other.kind) or own.kind == other.kind:
        kind = other.kind
    elif other.names(own.kind):
        kind = own.kind
    else:
        return None
    if not letters or (own.patient and other.patient and own.patient != other.patient):
        return None
    criteria = tuple(dict.fromkeys((*own.criteria, *other.criteria)))
    return Permission(kind, letters, own.patient or other.patient, criteria)


NOTHING = Rights(())
EVERYTHING = Rights((Permission(ANY, LETTERS),), restricted=True)
"""Of the hospital's own system, which is where restricted resources come from."""
READING = Rights((Permission(ANY, frozenset("rs")),))
CHARTED = (
    "AllergyIntolerance",
    "Communication",
    "Condition",
    "DocumentReference",
    "Flag",
    "MedicationStatement",
    "Observation",
    "QuestionnaireResponse",
    "ServiceRequest",
    "Task",
)
"""What a physician writes into the chart with an app. What the mesh made stays the mesh's."""
PRACTISING = Rights(
    (*READING.permissions, *(Permission(kind, frozenset("cu")) for kind in CHARTED))
)
AUDITING = Rights((Permission("AuditEvent", frozenset("rs")),))
