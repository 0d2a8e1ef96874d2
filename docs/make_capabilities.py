"""Writes docs/capabilities.md: the gateway's CapabilityStatement as a table.

`python docs/make_capabilities.py` writes it, `--check` exits 1 when it is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from services.gateway.fhir.metadata import statement
from services.gateway.routes import ENTRIES

PAGE = Path(__file__).with_name("capabilities.md")
BASE = "https://dxmesh.example.org"
NAMED = (
    "Patient", "Practitioner", "PractitionerRole", "Organization", "Encounter", "ServiceRequest",
    "Task", "Consent", "ImagingStudy", "Media", "BodyStructure", "Specimen", "Observation",
    "DiagnosticReport", "RiskAssessment", "DetectedIssue", "Condition", "AllergyIntolerance",
    "MedicationStatement", "DocumentReference", "Composition", "Binary", "Device", "Provenance",
    "AuditEvent", "Communication", "Flag", "Subscription", "Endpoint", "Group",
    "QuestionnaireResponse",
)  # fmt: skip
"""Types that the page shows in full; the statement itself has every R4 type."""
HEAD = """# What the gateway's CapabilityStatement says

Made from `GET /fhir/metadata` by `python docs/make_capabilities.py`; the statement is made from
the routes that serve. Every R4 type can be stored, read and searched; the types of dxmesh's own
work are below. `_include` and `_revinclude` go by every reference parameter.

"""


def main() -> None:
    """Write the page, or with `--check` say whether it is current."""
    fresh = page()
    if "--check" not in sys.argv:
        PAGE.write_text(fresh, "utf-8")
    elif not PAGE.is_file() or PAGE.read_text("utf-8") != fresh:
        sys.exit(f"{PAGE.name} is stale: run python docs/make_capabilities.py")


def page() -> str:
    """Return the page."""
    pairs = tuple(pair for entry in ENTRIES for pair in entry.interactions)
    made = json.loads(statement(BASE, pairs))
    (rest,) = made["rest"]
    resources = {resource["type"]: resource for resource in rest["resource"]}
    system = ", ".join(f"`{each['code']}`" for each in rest["interaction"])
    operations = ", ".join(f"`${each['name']}`" for each in rest["operation"])
    lines = [f"System: {system}; {operations}.", ""]
    lines += ["| type | interactions | operations | search parameters |", "|---|---|---|---|"]
    lines += [_row(resources[name]) for name in NAMED]
    others = sorted(set(resources) - set(NAMED))
    lines += ["", f"The other {len(others)} types: {', '.join(others)}.", ""]
    return HEAD + "\n".join(lines)


def _row(resource: dict[str, Any]) -> str:
    codes = [each["code"] for each in resource["interaction"]]
    conditional = [
        name.removeprefix("conditional").lower()
        for name in (
            "conditionalCreate",
            "conditionalRead",
            "conditionalUpdate",
            "conditionalDelete",
        )
        if resource[name] not in (False, "not-supported")
    ]
    if conditional:
        codes.append(f"conditional {'/'.join(conditional)}")
    operations = [f"${each['name']}" for each in resource.get("operation", [])]
    parameters = [f"{each['name']} ({each['type']})" for each in resource["searchParam"]]
    cells = (resource["type"], ", ".join(codes), ", ".join(operations), ", ".join(parameters))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
