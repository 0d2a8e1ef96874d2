"""Who the report is about, where it comes from: patient, order, models, steps."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.gateway.pdf.resources import (
    Json,
    by_reference,
    extensions,
    first,
    name_of,
    of_type,
)
from services.gateway.pdf.words import Language, words

Row = dict[str, Any]
ACCESSION = "ACSN"


def header(bundle: Json, report: Json, language: Language) -> Row:
    """Return what stands above the report; what is not known is empty."""
    patient, order = first(of_type(bundle, "Patient")), first(of_type(bundle, "ServiceRequest"))
    sex = words(language).get(f"sex-{patient.get('gender', '')}", "")
    version = next(
        (e["valuePositiveInt"] for e in report.get("extension", []) if "valuePositiveInt" in e), ""
    )
    return {
        "name": _names(patient),
        "sex": sex,
        "birth": str(patient.get("birthDate", "")),
        "identifier": str(first(patient.get("identifier", [])).get("value", "")),
        "order": str(order.get("code", {}).get("text", "")),
        "accession": _accession(order),
        "issued": moment(str(report.get("issued", ""))),
        "effective": moment(str(report.get("effectiveDateTime", ""))),
        "version": str(version),
        "case": str(first(report.get("identifier", [])).get("value", "")),
    }


def signature(report: Json) -> str:
    """Return who signed; empty when nobody did."""
    if report.get("status") not in ("final", "amended", "corrected", "appended"):
        return ""
    return str(first(report.get("resultsInterpreter", [])).get("display", "?"))


def models(bundle: Json) -> list[Row]:
    """Return which model spoke, in which version, on which input."""
    known = by_reference(bundle)
    rows = []
    for provenance in of_type(bundle, "Provenance"):
        device = name_of(known, first(provenance.get("agent", [])).get("who", {}))
        if device.get("resourceType") != "Device":
            continue
        entity = first(provenance.get("entity", [])).get("what", {}).get("identifier", {})
        runtime = [e["valueCode"] for e in provenance.get("extension", []) if "valueCode" in e]
        rows.append(
            {
                "name": str(first(device.get("deviceName", [])).get("name", "")),
                "version": str(first(device.get("version", [])).get("value", "")),
                "runtime": runtime[0] if runtime else "",
                "hash": str(first(device.get("identifier", [])).get("value", "")),
                "input": str(entity.get("value", "")),
            }
        )
    return rows


def steps(report: Json, language: Language) -> list[Row]:
    """Return how long each step took, seconds with one decimal."""
    named = words(language)
    rows = []
    for step in extensions(report, "step"):
        ran = step["period"]
        start, end = (datetime.fromisoformat(ran[side]) for side in ("start", "end"))
        seconds = f"{max((end - start).total_seconds(), 0):.1f}"
        name = str(step["name"])
        rows.append(
            {
                "name": named.get(f"step-{name}", name),
                "seconds": named["seconds"].format(seconds=seconds),
            }
        )
    return rows


def moment(value: str) -> str:
    """Return a FHIR dateTime as people read it: `2026-11-24 03:00 UTC`; others as they are."""
    if "T" not in value:
        return value
    day, _, rest = value.partition("T")
    zone = rest[-6:] if rest[-6:-5] in ("+", "-") else ""
    return f"{day} {rest[:5]} {'UTC' + zone if zone else 'UTC'}"


def _names(patient: Json) -> str:
    made = []
    for name in patient.get("name", []):
        parts = [*name.get("given", []), name.get("family", "")]
        made.append(str(name.get("text") or " ".join(filter(None, parts))))
    return "  ".join(dict.fromkeys(filter(None, made)))


def _accession(order: Json) -> str:
    for identifier in order.get("identifier", []):
        kinds = [c.get("code") for c in identifier.get("type", {}).get("coding", [])]
        if ACCESSION in kinds:
            return str(identifier.get("value", ""))
    return str(first(order.get("identifier", [])).get("value", ""))
