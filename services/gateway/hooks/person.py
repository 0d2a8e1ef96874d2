"""Whether a Patient here is the person the EHR asks about. Pure.

The wrong patient's report on a screen is worse than none. So an id alone is believed only
where the operator says that the EHR's ids are those its cases came with, and one contradiction
in an identifier of the same system, or in the date of birth, is enough to show nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def identifiers(patient: Json | None) -> list[tuple[str, str]]:
    """Return (system, value) of a Patient's identifiers that have both."""
    listed = patient.get("identifier", []) if patient else []
    if not isinstance(listed, list):
        return []
    return [
        (i["system"], i["value"])
        for i in listed
        if isinstance(i, Mapping)
        and isinstance(i.get("system"), str)
        and isinstance(i.get("value"), str)
        and i.get("use") != "old"
    ]


def is_same(stored: Json, asked: Json | None, *, by_id: bool) -> bool:
    """Tell whether `stored` is the person `asked` for.

    Parameters
    ----------
    asked : the EHR's Patient; None: it sent none
    by_id : whether they have the same id and ids are believed
    """
    if asked is None:
        return by_id
    ours, theirs = identifiers(stored), identifiers(asked)
    shared = {system for system, _ in ours} & {system for system, _ in theirs}
    agreed = {system for system, _ in set(ours) & set(theirs)}
    if shared - agreed:
        return False
    if not agree(stored.get("birthDate"), asked.get("birthDate")):
        return False
    return by_id or bool(agreed)


def agree(born: Any, said: Any) -> bool:
    """Tell whether two dates of birth may be the same: 1964 and 1964-03-15, or one unknown, may."""
    length = min(len(str(born or "")), len(str(said or "")))
    return str(born or "")[:length] == str(said or "")[:length]
