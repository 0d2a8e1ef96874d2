"""The submission Bundle of what a physician chose of a chart. Pure.

See docs/guides/submitting.md: one Patient, one ServiceRequest, the Consents, and what is to
be analysed. Every entry has the EHR's address as `fullUrl`, so that absolute references of
the EHR mean the same resources.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.gateway.ehr.chart import Chart
from services.kernel import fhir
from services.kernel.errors import InvalidInput, Precondition

SYSTEM = "urn:dxmesh:ehr-submission"
LANGUAGES = {"zh": "zh-CN", "en": "en"}
PRIORITIES = ("routine", "urgent", "stat")

Json = dict[str, Any]


def build(
    issuer: str,
    chart: Chart,
    order: str,
    chosen: Collection[str],
    notes: Sequence[Mapping[str, Any]],
    *,
    language: str,
    priority: str = "",
) -> Json:
    """Return the Bundle.

    Parameters
    ----------
    order : "ServiceRequest/id"
    chosen : references of Observations and ImagingStudies
    notes : the DocumentReferences chosen, with their content inline

    Raises
    ------
    InvalidInput
        There is no such order.
    Precondition
        There is no active Consent.
    """
    request = _order(chart, order, priority)
    part = chart.parts.get("Consent")
    consents = list(part.resources) if part else []
    if not any(consent.get("status") == "active" for consent in consents):
        raise Precondition("the EHR has no active Consent", reason="CONSENT_MISSING")
    kept = [
        resource
        for kind in ("Observation", "ImagingStudy")
        for resource in chart.of(kind)
        if f"{kind}/{resource['id']}" in chosen
    ]
    resources = [chart.patient, request, *consents, *kept, *notes]
    entries = [_entry(issuer, resource) for resource in resources]
    digest = hashlib.sha256(fhir.dump([language, *resources])).hexdigest()
    return {
        "resourceType": "Bundle",
        "language": LANGUAGES.get(language, "en"),
        "identifier": {"system": SYSTEM, "value": digest},
        "type": "transaction",
        "entry": entries,
    }


def references(bundle: Mapping[str, Any]) -> list[str]:
    """Return "Type/id" of everything in a Bundle: what the EHR knows by this name."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [f"{r['resourceType']}/{r['id']}" for r in resources]


def _order(chart: Chart, order: str, priority: str) -> Json:
    orders = {f"ServiceRequest/{r['id']}": r for r in chart.of("ServiceRequest")}
    if order not in orders:
        raise InvalidInput("choose an order", reason="ORDER_MISSING")
    changed = {"priority": priority} if priority in PRIORITIES else {}
    return {**orders[order], **changed}


def _entry(issuer: str, resource: Mapping[str, Any]) -> Json:
    kind = resource["resourceType"]
    return {
        "fullUrl": f"{issuer}/{kind}/{resource['id']}",
        "resource": dict(resource),
        "request": {"method": "POST", "url": kind},
    }
