"""What granted scopes let us read and write at the EHR. Pure.

Source: SMART App Launch 2.2.0, Scopes for requesting FHIR resources; v1 of 1.0.0.
"""

from __future__ import annotations

import re

_SCOPE = re.compile(r"(patient|user|system)/([A-Za-z]+|\*)\.(\*|read|write|c?r?u?d?s?)(\?.*)?")
_OLD = {"read": "rs", "write": "cud", "*": "cruds"}


def allows(granted: str, kind: str, letter: str) -> bool:
    """Tell whether scopes may let us do `letter` (c, r, u, d or s) with a resource type.

    A scope with search conditions counts: the EHR decides what it lets through.
    """
    for scope in granted.split():
        found = _SCOPE.fullmatch(scope)
        if not found or found[2] not in ("*", kind):
            continue
        if letter in _OLD.get(found[3], found[3]):
            return True
    return False
