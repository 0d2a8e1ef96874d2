"""What a physician drew on the images: read from the review's form, and told to the models. Pure.

A marking is a box, or the ellipse in it, on one image, in pixels from its upper left corner.
The page knows the hospital's UIDs; the models know those of the analysis zone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from dxmesh.event.v1.feedback_given_pb2 import SHAPE_BOX, SHAPE_ELLIPSE, Marking
from dxmesh.reporting.v1.reporting_service_pb2 import AddedFinding

from services.kernel.errors import InvalidInput

Json = dict[str, Any]
SHAPES = {"box": SHAPE_BOX, "ellipse": SHAPE_ELLIPSE}
KINDS = ("nodule", "haemorrhage", "fracture", "tumour", "other")
ADDED_MAX, MARKING_CHARS_MAX, TEXT_CHARS_MAX = 100, 1000, 4000
PIXELS_MAX = 1_000_000
_UID = re.compile(r"[0-9.]{1,64}")
_ID = re.compile(r"added-[0-9]{1,3}")


def moved(name: str, text: str, verdicts: dict[str, Json]) -> None:
    """Take the field `marking:<finding>` into the verdicts.

    Raises
    ------
    InvalidInput
        It is no marking.
    """
    finding = name.partition(":")[2]
    if finding and text.strip():
        verdicts.setdefault(finding, {})["marking"] = parse(text)


def added(fields: Iterable[tuple[str, str]]) -> list[Json]:
    """Return the findings in the fields `added:<id>:<part>`, in their order.

    Raises
    ------
    InvalidInput
    """
    found: dict[str, Json] = {}
    for name, value in fields:
        kind, _, rest = name.partition(":")
        one, _, part = rest.partition(":")
        if kind != "added" or not one:
            continue
        if not _ID.fullmatch(one) or len(found) > ADDED_MAX:
            raise InvalidInput("a finding that was added has no usable id", reason="BAD_REQUEST")
        entry = found.setdefault(one, {"id": one, "kind": "other", "text": "", "marking": None})
        if part == "marking":
            entry["marking"] = parse(value)
        elif part == "kind" and value in KINDS:
            entry["kind"] = value
        elif part == "text":
            if len(value) > TEXT_CHARS_MAX:
                raise InvalidInput("a text is too long", reason="TOO_LONG")
            entry["text"] = value.strip()
    return [entry for entry in found.values() if entry["marking"]]


def parse(text: str) -> Json:
    """Return a marking as the page writes it.

    Raises
    ------
    InvalidInput
    """
    try:
        read = orjson.loads(text) if len(text) <= MARKING_CHARS_MAX else None
    except orjson.JSONDecodeError:
        read = None
    if isinstance(read, dict) and (made := _checked(read)):
        return made
    raise InvalidInput("a marking does not lie on an image", reason="BAD_REQUEST")


def _checked(read: Mapping[str, Any]) -> Json | None:
    uids = [read.get("series"), read.get("sop")]
    box, frame = read.get("box"), read.get("frame")
    if read.get("shape") not in SHAPES or not all(
        isinstance(uid, str) and _UID.fullmatch(uid) for uid in uids
    ):
        return None
    if not isinstance(frame, int) or not 0 <= frame < 10_000_000:
        return None
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(edge) for edge in box):
        return None
    left, top, right, bottom = box
    if not (0 <= left < right <= PIXELS_MAX and 0 <= top < bottom <= PIXELS_MAX):
        return None
    return {
        "shape": read["shape"],
        "series": uids[0],
        "sop": uids[1],
        "frame": frame,
        "box": [round(float(edge), 2) for edge in box],
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def as_field(marking: Mapping[str, Any] | None) -> str:
    """Return a marking as a field of the page holds it; empty for none."""
    if not marking:
        return ""
    box = [float(edge) for edge in marking["box"]]  # a draft keeps decimals
    return orjson.dumps({**marking, "frame": int(marking["frame"]), "box": box}).decode()


def to_models(marking: Json, uids: Mapping[str, str]) -> Marking:
    """Return a marking in the UIDs that models know.

    Parameters
    ----------
    uids : UID of the analysis zone → UID of the hospital, as anonymization answers

    Raises
    ------
    InvalidInput
        It lies on an image that is not of this case.
    """
    back = {true: analysed for analysed, true in uids.items()}
    series, sop = back.get(marking["series"]), back.get(marking["sop"])
    if not series or not sop:
        raise InvalidInput("a marking lies on an image of another case", reason="OTHER_CASE")
    left, top, right, bottom = marking["box"]
    return Marking(
        shape=SHAPES[marking["shape"]],
        series_instance_uid=series,
        sop_instance_uid=sop,
        frame=marking["frame"],
        left=left,
        top=top,
        right=right,
        bottom=bottom,
    )


def to_request(
    entries: Sequence[Json], texts: Sequence[str], uids: Mapping[str, str]
) -> list[AddedFinding]:
    """Return what was added, its texts without identity, as reporting takes it."""
    return [
        AddedFinding(
            added_id=entry["id"],
            kind=entry["kind"],
            text=text,
            marking=to_models(entry["marking"], uids),
        )
        for entry, text in zip(entries, texts, strict=True)
    ]
