"""What later or earlier cases say of a case's results, for its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.gateway import corrections
from services.gateway.call import Call
from services.gateway.corrections import Known
from services.gateway.progress import Case
from services.gateway.web.reading import Reading


async def of_case(call: Call, case: Case, bundle: Mapping[str, Any]) -> list[tuple[str, Known]]:
    """Return which other cases correct this one, then which it corrects; names from its report."""
    if not any(case.label.get(name) for name in (corrections.CORRECTED, corrections.CORRECTS)):
        return []
    hasher = await call.gateway.hasher_for(call.tenant)
    resources = [each["resource"] for each in bundle.get("entry", ())]
    results = [each for each in resources if each["resourceType"] == "Observation"]

    def key(reference: str) -> str:
        return hasher("result-reference", reference)

    return [
        (name, each)
        for name in (corrections.CORRECTED, corrections.CORRECTS)
        for each in corrections.read(case.label, name, results, key)
    ]


async def marked(call: Call, case: Case, bundle: Mapping[str, Any], reading: Reading) -> Reading:
    """Return the reading of a report with those of its results marked that were corrected since."""
    if not case.label.get(corrections.CORRECTED):
        return reading
    hasher = await call.gateway.hasher_for(call.tenant)
    resources = [each["resource"] for each in bundle.get("entry", ())]
    results = [each for each in resources if each["resourceType"] == "Observation"]
    return replace(
        reading,
        fallen=corrections.fallen(
            case.label, results, lambda reference: hasher("result-reference", reference)
        ),
    )
