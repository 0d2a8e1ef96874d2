"""DICOM PS3.15 Table E.1-1 resolved to one action per attribute.

Options chosen: Basic Profile with Retain Longitudinal Temporal Information with Modified
Dates, Retain Patient Characteristics, Clean Descriptors and Clean Structured Content.
The table itself is `ps315.json`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from importlib import resources

from pydicom.datadict import dictionary_VR

Row = Mapping[str, str]


class Action(enum.IntEnum):
    """What happens to one attribute."""

    REMOVE = 1
    EMPTY = 2
    DUMMY = 3
    MAP_UID = 4
    SHIFT = 5
    """Move a date by the patient's days, a time by the patient's seconds."""
    DESCRIBE = 6
    """Keep the words of a closed vocabulary, else do as the Basic Profile says."""
    KEEP = 7
    """Keep what its value representation allows; ages over 89 are capped."""
    DESCEND = 8
    """Keep the sequence, clean what is in it."""


BASIC = {
    "X": Action.REMOVE,
    "Z": Action.EMPTY,
    "D": Action.DUMMY,
    "U": Action.MAP_UID,
    # A combination is for the type the object gives the attribute (PS3.15 E.1, table notes).
    # A present value is replaced by the mildest that is right for any type.
    "X/Z": Action.EMPTY,
    "X/D": Action.DUMMY,
    "Z/D": Action.DUMMY,
    "X/Z/D": Action.DUMMY,
    "X/Z/U*": Action.DESCEND,
}
"""Basic Profile code to action."""


def basic_action(row: Row, vr: str) -> Action:
    """Return what the Basic Profile alone asks for."""
    action = BASIC[row["basic"]]
    if action is Action.DUMMY and vr == "SQ":
        return Action.DESCEND
    return Action.MAP_UID if action is Action.DUMMY and vr == "UI" else action


def chosen_action(row: Row, vr: str) -> Action:
    """Return the action under the options this project chose."""
    if row.get("characteristics") == "K":
        return Action.KEEP
    if vr in ("DA", "TM", "DT") and row.get("modified_dates") == "C":
        return Action.SHIFT
    if vr == "SQ" and row.get("structured") == "C":
        return Action.DESCEND
    cleaned = "C" in (row.get("descriptors"), row.get("characteristics"))
    if cleaned and vr in ("LO", "SH", "LT", "ST", "UC", "UT"):
        return Action.DESCRIBE
    return basic_action(row, vr)


def _load() -> tuple[dict[int, Action], dict[int, Action]]:
    """Return the chosen and the Basic action by tag.

    Rows for repeating groups (curves, overlays) and private attributes are not tags;
    `profile` removes those groups whole.
    """
    text = resources.files(__package__).joinpath("ps315.json").read_text("utf-8")
    chosen: dict[int, Action] = {}
    basic: dict[int, Action] = {}
    for row in json.loads(text)["attributes"]:
        if "X" in row["tag"] or row["tag"] == "PRIVATE":
            continue
        tag = int(row["tag"], 16)
        vr = dictionary_VR(tag)
        chosen[tag], basic[tag] = chosen_action(row, vr), basic_action(row, vr)
    return chosen, basic


CHOSEN, FALLBACK = _load()
"""Action by tag; and what remains to do where the chosen one finds nothing it may keep."""
