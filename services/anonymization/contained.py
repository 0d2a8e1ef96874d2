"""Results that stand inside another resource: `contained` of a DiagnosticReport or a panel. Pure.

Nothing outside its container may refer to a contained resource (FHIR R4, References, 2.3.0.4), so
these have no reference by which the report could name them as submitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Resource = Mapping[str, Any]

CONTAINERS = frozenset(("DiagnosticReport", "Observation"))
_TIMES = ("effectiveDateTime", "effectivePeriod", "effectiveInstant")


def results(reference: str, resource: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield the Observations in a resource, each with a name that is no FHIR reference.

    One without a time of its own has its container's.
    """
    inside = resource.get("contained")
    if resource.get("resourceType") not in CONTAINERS or not isinstance(inside, list):
        return
    times = {name: resource[name] for name in _TIMES if name in resource}
    for number, each in enumerate(inside, 1):
        if isinstance(each, Mapping) and each.get("resourceType") == "Observation":
            own = any(name in each for name in _TIMES)
            yield f"{reference}#{number}", {**({} if own else times), **each}


def is_reference(name: str) -> bool:
    """Tell whether a name may stand in a reference: no result inside another resource has one."""
    return "#" not in name
