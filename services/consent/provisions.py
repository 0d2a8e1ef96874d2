"""What one FHIR R4 Consent says about one question.

R4 reads: `policyRule` is the base (OPTIN or OPTOUT); the root provision narrows it by
period, purpose, actor; nested provisions are exceptions, each with its own type. Many
systems write `type` on the root as well; it then overrides the base within its conditions.
Whatever cannot be read to the end permits nothing.

Source: FHIR R4 4.0.1, Consent, https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any

from services.consent.instants import span

Resource = Mapping[str, Any]

ACT_REASON = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v3-ActReason", "http://hl7.org/fhir/v3/ActReason"}
)
ACT_CODE = frozenset(
    {"http://terminology.hl7.org/CodeSystem/v3-ActCode", "http://hl7.org/fhir/v3/ActCode"}
)
OWN_PURPOSES = "urn:dxmesh:purpose"
ANY_PURPOSE = "PurposeOfUse"
"""Root of the v3-ActReason purposes: names all of them."""

PURPOSES = ("TREAT", "HRESCH", "MODELTRAIN")
"""What is decided: analysis for treatment, research, training of models."""

NEEDS_NAMING = frozenset({"HRESCH", "MODELTRAIN"})
"""Purposes beyond the patient's own care: a consent that names no purpose does not cover
them (separate, informed consent: PIPL 2021 article 29; GDPR recital 32)."""

SCOPES = frozenset({"patient-privacy", "research"})
"""Scopes that speak of information; `treatment` and `adr` speak of other things."""

BASES = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}
OUR_ACTIONS = frozenset({"access", "use"})
RECIPIENTS = frozenset({"IRCP", "PRCP", "GRANTEE"})
"""Roles of an actor who receives."""
BYSTANDERS = frozenset({"CONSENTER", "GRANTOR", "PAT"})
"""Roles that say who consents. Any other (custodian, author …) limits which data is meant."""
DATA_LIMITS = ("securityLabel", "class", "code", "dataPeriod", "data")
"""Elements that narrow a rule to a part of the record."""

OUT_OF_TIME = frozenset({"EXPIRED", "NOT_YET_VALID"})
DEPTH_MAX = 16


@dataclass(frozen=True, slots=True)
class Question:
    """May `recipient` use the subject's data for `purpose` at `at`?"""

    purpose: str
    """v3-ActReason code, or the project's MODELTRAIN."""
    recipient: str
    """"system|value", a literal reference, or empty: any recipient."""
    at: datetime
    """An instant with a zone."""


class Effect(Enum):
    """What a consent does to a question."""

    PERMIT = "permit"
    DENY = "deny"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The effect, and a stable reason."""

    effect: Effect
    reason: str


PERMITTED = Verdict(Effect.PERMIT, "PERMITTED")
DENIED = Verdict(Effect.DENY, "DENIED")


def judge(consent: Resource, question: Question, zone: tzinfo) -> Verdict:
    """Return what an active consent says; `SILENT` when the question is outside it."""
    if _has_modifier(consent):
        return Verdict(Effect.SILENT, "MODIFIER_NOT_UNDERSTOOD")
    if not _codes(consent.get("scope")) & SCOPES:
        return Verdict(Effect.SILENT, "SCOPE_NOT_PRIVACY")
    base = next((BASES[code] for code in _base_codes(consent) if code in BASES), None)
    root = consent.get("provision") or {}
    asked = _Asked(question, zone, _contained(consent))
    if asked.denied_below(root, 0):
        return DENIED
    kind = root.get("type", base)
    if kind == "deny":
        return asked.under_denial(root, base)
    if kind != "permit":
        return Verdict(Effect.SILENT, "POLICY_UNKNOWN")
    # Under an opt-in, an untyped root that names actors or data is a permission in some of
    # R4's own examples (signature) and a refusal in others (notThem, notAuthor).
    if "type" not in root and any(root.get(name) for name in ("actor", "action", *DATA_LIMITS)):
        return Verdict(Effect.SILENT, "PROVISION_AMBIGUOUS")
    return asked.under_permission(root)


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    zone: tzinfo
    contained: Mapping[str, Resource]

    def under_permission(self, root: Resource) -> Verdict:
        """Return what a permitting root says; its nested denials are known not to meet it."""
        miss = self.miss(root, "permit")
        if miss is None and not self.permitted_below(root):
            if self.question.purpose in NEEDS_NAMING and not root.get("purpose"):
                miss = "PURPOSE_NOT_NAMED"
            # Permission for a part of the record, inside one for all of it, is meant to narrow.
            elif "PARTIAL_PERMISSION" in map(self._permit_miss, root.get("provision") or []):
                miss = "PARTIAL_PERMISSION"
        return Verdict(Effect.SILENT, miss) if miss else PERMITTED

    def under_denial(self, root: Resource, base: str | None) -> Verdict:
        """Return what a denying root says, and outside its conditions the `base`."""
        miss = self.miss(root, "deny")
        if miss is None:
            return PERMITTED if self.permitted_below(root) else DENIED
        if miss in OUT_OF_TIME or base is None:
            return Verdict(Effect.SILENT, miss)
        if base == "deny":
            return DENIED
        if self.question.purpose in NEEDS_NAMING:
            return Verdict(Effect.SILENT, "PURPOSE_NOT_NAMED")
        return PERMITTED

    def denied_below(self, parent: Resource, depth: int) -> bool:
        """Tell whether a nested deny meets the question and no exception to it permits."""
        for rule in parent.get("provision") or []:
            kind = rule.get("type")
            if kind not in {"permit", "deny"} or depth >= DEPTH_MAX:
                return True  # an exception that cannot be read may be a denial
            if kind == "permit":
                if self.miss(rule, "permit") is None and self.denied_below(rule, depth + 1):
                    return True
            elif self.miss(rule, "deny") is None:
                excepted = self.permitted_below(rule) and not self.denied_below(rule, depth + 1)
                if not excepted:
                    return True
        return False

    def permitted_below(self, parent: Resource) -> bool:
        """Tell whether a nested permit meets the question, by name where that is needed."""
        return any(
            rule.get("type") == "permit"
            and self._permit_miss(rule) is None
            and (self.question.purpose not in NEEDS_NAMING or bool(rule.get("purpose")))
            for rule in parent.get("provision") or []
        )

    def _permit_miss(self, rule: Resource) -> str | None:
        return self.miss(rule, "permit") if rule.get("type") == "permit" else "NOT_A_PERMISSION"

    def miss(self, rule: Resource, kind: str) -> str | None:
        """Return why a rule does not meet the question; None when it does.

        In doubt a permit does not meet it and a denial does.
        """
        strict = kind == "permit"
        if late := self._outside(rule.get("period"), strict):
            return late
        purposes = rule.get("purpose") or []
        if purposes and not any(self._is_purpose(coding) for coding in purposes):
            return "PURPOSE_NOT_PERMITTED"
        actors = [actor for actor in rule.get("actor") or [] if not _roles(actor) & BYSTANDERS]
        others = [actor for actor in actors if _roles(actor) and not _roles(actor) & RECIPIENTS]
        if actors and not any(self._is_recipient(actor, strict) for actor in actors):
            return "RECIPIENT_NOT_PERMITTED" if strict or not others else None
        actions = set().union(*(_codes(action) for action in rule.get("action") or []))
        if actions and not actions & OUR_ACTIONS:
            return "ACTION_NOT_PERMITTED"
        partial = bool(others) or any(rule.get(name) for name in DATA_LIMITS)
        return "PARTIAL_PERMISSION" if strict and partial else None

    def _outside(self, period: object, strict: bool) -> str | None:
        if not period:
            return None
        limits = period if isinstance(period, Mapping) else {}
        start, end = (span(limits.get(name), self.zone) for name in ("start", "end"))
        unreadable = (start is None and "start" in limits) or (end is None and "end" in limits)
        if unreadable or not isinstance(period, Mapping):
            return "PERIOD_UNREADABLE" if strict else None
        if start and self.question.at < start.start:
            return "NOT_YET_VALID"
        return "EXPIRED" if end and self.question.at >= end.end else None

    def _is_purpose(self, coding: Resource) -> bool:
        system, code = coding.get("system"), coding.get("code")
        if system in ACT_REASON:
            return code in {self.question.purpose, ANY_PURPOSE}
        return system == OWN_PURPOSES and code == self.question.purpose

    def _is_recipient(self, actor: Resource, strict: bool) -> bool:
        if not self.question.recipient:  # any recipient: a rule for one of them permits not all
            return not strict
        reference = actor.get("reference") or {}
        names = {_token(reference.get("identifier") or {}), reference.get("reference")}
        target = self.contained.get(str(reference.get("reference", "")).removeprefix("#"), {})
        names |= {_token(identifier) for identifier in target.get("identifier") or []}
        return self.question.recipient in names


def _roles(actor: Resource) -> set[str]:
    return _codes(actor.get("role"))


def _token(identifier: Resource) -> str | None:
    value = identifier.get("value")
    return f"{identifier.get('system', '')}|{value}" if value else None


def _codes(concept: object) -> set[str]:
    codings = concept.get("coding") or [] if isinstance(concept, Mapping) else []
    return {str(coding.get("code")) for coding in codings if coding.get("code")}


def _base_codes(consent: Resource) -> list[str]:
    codings = (consent.get("policyRule") or {}).get("coding") or []
    return [str(c.get("code")) for c in codings if c.get("system") in ACT_CODE]


def _contained(consent: Resource) -> dict[str, Resource]:
    return {str(item.get("id")): item for item in consent.get("contained") or []}


def _has_modifier(node: object) -> bool:
    """Tell whether an element that changes the meaning stands anywhere in the consent."""
    if isinstance(node, Mapping):
        if node.get("modifierExtension") or node.get("implicitRules"):
            return True
        return any(_has_modifier(value) for value in node.values())
    return isinstance(node, list) and any(_has_modifier(value) for value in node)
