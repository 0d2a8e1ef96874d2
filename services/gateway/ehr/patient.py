"""Which record numbers of an EHR's Patient mean a subject here. Pure.

Consent is kept and cases are found under the record number, as ingest reads it
(docs/guides/submitting.md): type MR, then PI, then any identifier with a system. Patient.id
is not used: another system's Patient may have the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PAST = frozenset({"old", "temp"})


def names_of(patient: Mapping[str, Any], systems: Sequence[str] = ()) -> list[str]:
    """Return the record numbers as "system|value", of the best kind there is.

    Parameters
    ----------
    systems : the systems that the operator says record numbers have; none: by type
    """
    numbers = [
        i
        for i in patient.get("identifier", [])
        if i.get("system") and i.get("value") and i.get("use") not in PAST
    ]
    if systems:
        kinds = [[i for i in numbers if i["system"] in systems]]
    else:
        kinds = [
            [i for i in numbers if _is_of_type(i, "MR")],
            [i for i in numbers if _is_of_type(i, "PI")],
            numbers,
        ]
    best = next((kind for kind in kinds if kind), [])
    return [f"{i['system']}|{i['value']}" for i in best]


def _is_of_type(identifier: Mapping[str, Any], code: str) -> bool:
    return any(c.get("code") == code for c in identifier.get("type", {}).get("coding", []))
