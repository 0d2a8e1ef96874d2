"""Who may read a Binary: its label, its security context, and what the mesh made it of.

A key image is a picture of the case's studies; the PDF shows those and holds the whole report.
Labels count as they are now, those of a deleted resource as they last were, and a deleted
ImagingStudy shows nothing, as in DICOMweb. Text is as confidential as what names it.

Source: R4 binary, 2.38.3 (security context).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.gateway.access.rights import Permission, Visibility
from services.gateway.fhir import allowed, studies
from services.gateway.fhir.references import literals
from services.gateway.fhir.search import match
from services.gateway.fhir.types import TYPES
from services.gateway.store import Store
from services.gateway.store.stored import Key, Stored
from services.kernel import fhir

BINARY, PATIENT, REPORT, STUDY = "Binary", "Patient", "DiagnosticReport", "ImagingStudy"
IMAGE = "Media"
REFERENCE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")


async def sees(store: Store, tenant: str, visibility: Visibility, stored: Stored) -> bool:
    """Tell whether a Binary may be read: one with a security context as that resource may.

    A deleted one counts as it last was. One that is not here decides nothing: the Binary is
    then one like any other. Its own label counts in any case, and so do the labels of what a
    document or picture of the mesh shows.
    """
    binary = fhir.parse(stored.content)
    if not visibility.restricted and match.restricted(binary):
        return False
    if not visibility.restricted and await withheld(store, tenant, stored):
        return False
    context = context_of(binary)
    found = await store.resources.find_many(tenant, [context]) if context else []
    if found:
        named = await store.resources.last(tenant, found[0])
        return allowed.sees(visibility, named) and _permits(visibility, binary, named)
    binary = {name: value for name, value in binary.items() if name != "securityContext"}
    return match.visible(visibility, binary)


def _permits(visibility: Visibility, binary: Mapping[str, Any], named: Stored) -> bool:
    """Tell whether a permission on Binary fits: a patient's where the other one is theirs."""
    rules = visibility.of(BINARY)
    if rules is None:
        return True
    content = fhir.parse(named.content)
    return any(
        match.fits(replace(rule, patient=""), binary)
        and match.fits(Permission(named.type, rule.letters, rule.patient), content)
        for rule in rules
    )


async def withheld(store: Store, tenant: str, binary: Stored) -> bool:
    """Tell whether a Binary shows what callers without the right to labelled resources may not.

    That is never so of a Binary that somebody else sent: its own label and security context
    say who may read it.
    """
    if not binary.owned or not binary.case_id:
        return False
    if binary.id == document_id(binary.case_id):
        return await withholds_document(store, tenant, binary.case_id)
    parts = await _parts(store, tenant, binary.case_id)
    hidden = await _hidden_kinds(store, tenant, parts)
    address = f"{BINARY}/{binary.id}".encode()
    naming = [part for part in parts if address in part.content]
    if any(is_restricted(part.content) for part in naming):
        return True
    if not any(part.type == IMAGE for part in naming) and not is_picture(binary):
        return False
    return STUDY in hidden or (PATIENT in hidden and _lacks_study(parts))


def _lacks_study(parts: Sequence[Stored]) -> bool:
    """Tell whether there is a study without an ImagingStudy, which a report names by its UID."""
    reports = [fhir.parse(part.content) for part in parts if part.type == REPORT and part.content]
    named = [each for report in reports for each in report.get("imagingStudy", [])]
    known = any(part.type == STUDY for part in parts)
    return not known or any("reference" not in each for each in named)


async def withholds_document(store: Store, tenant: str, case_id: str) -> bool:
    """Tell whether a case's PDF holds anything that is labelled."""
    parts = await _parts(store, tenant, case_id)
    return bool(await _hidden_kinds(store, tenant, parts))


def document_id(case_id: str) -> str:
    """Return the id of the Binary that is a case's PDF."""
    return f"{case_id}-pdf"


def is_picture(binary: Stored) -> bool:
    """Tell whether a Binary is an image."""
    return str(fhir.parse(binary.content).get("contentType", "")).startswith("image/")


def is_restricted(content: bytes) -> bool:
    """Tell whether a content is labelled R or V; it is only parsed where it may be."""
    return allowed.may_be_labelled(content) and match.restricted(fhir.parse(content))


async def _parts(store: Store, tenant: str, case_id: str) -> list[Stored]:
    """Return what a case's report is made of: its own resources, and what the report names.

    Patient, order and studies may be those of an earlier case, and a study may have an
    ImagingStudy that came otherwise.
    """
    own = await store.resources.of_case(tenant, case_id, besides=BINARY, deleted=True)
    known = {(part.type, part.id) for part in own}
    named: dict[Key, None] = {}
    for part in own:
        if part.type == REPORT and not part.deleted:
            for _, reference in literals(fhir.parse(part.content), ""):
                kind, _, resource_id = reference.partition("/")
                if kind in TYPES and kind != BINARY and (kind, resource_id) not in known:
                    named[kind, resource_id] = None
    parts = own + await store.resources.find_many(tenant, list(named))
    told = [fhir.parse(p.content) for p in parts if p.type in (REPORT, STUDY) and p.content]
    uids = set[str]().union(*map(studies.uids_of, told))
    there = {(part.type, part.id) for part in parts}
    same = await studies.of_uids(store, tenant, sorted(uids))
    return parts + [each for each in same if (each.type, each.id) not in there]


async def _hidden_kinds(store: Store, tenant: str, parts: Sequence[Stored]) -> set[str]:
    """Return the types of what may not be shown."""
    hidden: set[str] = set()
    for part in parts:
        last = await store.resources.last(tenant, part)
        if (part.deleted and part.type == STUDY) or is_restricted(last.content):
            hidden.add(part.type)
    return hidden


def context_of(binary: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return type and id of the resource whose rights a Binary is under; None: it has none."""
    context = binary.get("securityContext")
    literal = context.get("reference") if isinstance(context, Mapping) else None
    named = REFERENCE.fullmatch(literal) if isinstance(literal, str) else None
    return (named[1], named[2]) if named else None
