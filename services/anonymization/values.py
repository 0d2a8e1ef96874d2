"""One element's value under one action: kept if harmless, else replaced.

Values are judged as bytes where that is enough. `None` means that nothing may stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword

from services.anonymization import codes, fields, vocabulary
from services.anonymization.fields import Element
from services.anonymization.ps315 import CHOSEN, Action

if TYPE_CHECKING:
    from services.anonymization.profile import Walk

AGE_YEARS_MAX = 90
"""Ages over 89 become this one: 45 CFR 164.514(b)(2)(i)(C)."""
PATIENT_ID = 0x00100020
DUMMY_TEXT = "DEIDENTIFIED"
OTHER = "OTHER"
"""Stands for one of several values that may not stay."""
DUMMIES = {
    **dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT"), DUMMY_TEXT),
    **{"UR": "urn:deidentified", "DS": "0", "IS": "0", "AS": "000D"},
    **{"DA": "19000101", "TM": "000000.01", "DT": "19000101000000.01"},
}
"""A value that is right for the representation and says nothing."""
MARKS = {"SH": (12, " [c]")}
LONG_MARK = (52, " [cleaned]")
"""Room for words, and what ends a cleaned description: text may be missing there."""
_ROOM = {"LT": 10_000, "ST": 1000, "UC": 10_000, "UT": 10_000}


def tagged(*keywords: str) -> frozenset[int]:
    """Return the tags of keywords of the DICOM dictionary."""
    return frozenset(tag for tag in map(tag_for_keyword, keywords) if tag is not None)


BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "OB or OW", "UN"))
BINARY_KEPT = tagged(
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable"),
    *("ExtendedOffsetTableLengths", "LUTData", "WaveformData", "ICCProfile"),
    *(f"{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue", "Alpha")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue", "Alpha")),
    *("PointCoordinatesData", "SurfaceMeshPrimitivesSequence", "VectorCoordinateData"),
    *("LongTrianglePointIndexList", "LongEdgePointIndexList", "TrianglePointIndexList"),
    *("LongPrimitivePointIndexList", "LongVertexPointIndexList", "SpectroscopyData"),
)
"""Pixels, lookup tables, palettes, waveforms, colour profiles, coordinates."""
TEXT = frozenset(("CS", "LO", "LT", "SH", "ST", "UC", "UT"))
DATES = frozenset(("DA", "DT", "TM"))
_NUMBER = re.compile(r"[\d\s+\-.eE\\]{1,100000}")
_UID = re.compile(r"[\d.]{1,64}")
_AGE = re.compile(r"(\d{3})([DWMY])")
_CHARSET = re.compile(r"(?:ISO[ _]IR|ISO 2022 IR) \d{1,3}|GB18030|GBK|")
PUBLIC_ROOTS = ("1.2.840.10008.", "2.16.840.1.113883.6.")
"""Roots of DICOM's own UIDs and of HL7's coding schemes: they name kinds of things."""
ICC_PROFILE, ICC_SIGNATURE = 0x00282000, slice(36, 40)
_CHARSET_TAG, _CODE_VALUE, _CODE_SCHEME = 0x00080005, 0x00080100, 0x00080102


def kept(tag: int, vr: str, element: Element, walk: Walk) -> Element | None:
    """Return an element no rule speaks against, as far as its representation can be judged."""
    if vr in BINARY:
        if tag == ICC_PROFILE and (element.value or b"")[ICC_SIGNATURE] != b"acsp":
            return None
        return element if tag in BINARY_KEPT else None
    if vr == "UI":
        return changed(Action.MAP_UID, tag, vr, element, walk)
    if vr in DATES:
        return changed(Action.SHIFT, tag, vr, element, walk)
    if vr in ("PN", "AE", "UR"):
        return fields.emptied(element, vr)
    if vr in TEXT or vr in ("DS", "IS", "AS"):
        text = fields.text_of(element, walk.encodings)
        if text is None or _harmless(tag, vr, text, walk):
            return element
        if vr == "AS":
            return _capped(element, text)
        if "\\" in text and vr in ("CS", "LO", "SH"):
            return fields.with_text(element, vr, _each(tag, vr, text, walk), walk.encodings)
        return fields.emptied(element, vr)
    return element


def _each(tag: int, vr: str, text: str, walk: Walk) -> str:
    """Return the values with those replaced that may not stay: places keep their meaning."""
    parts = text.split("\\")
    return "\\".join(part if _harmless(tag, vr, part, walk) else OTHER for part in parts)


def _harmless(tag: int, vr: str, text: str, walk: Walk) -> bool:
    if vr in ("DS", "IS"):
        return bool(_NUMBER.fullmatch(text)) and not walk.known.in_number(text)
    if vr == "AS":
        found = _AGE.fullmatch(text)
        return found is not None and (found[2] != "Y" or int(found[1]) < AGE_YEARS_MAX)
    if tag == _CHARSET_TAG:
        return all(_CHARSET.fullmatch(part.strip()) for part in text.split("\\"))
    if tag in (_CODE_VALUE, _CODE_SCHEME):
        public = codes.is_dicom_code(text) if tag == _CODE_VALUE else text in codes.SCHEMES
        return public and not walk.known.in_number(text)
    return vocabulary.is_known(text) and not walk.known.within(text)


def _capped(element: Element, text: str) -> Element:
    if _AGE.fullmatch(text):
        return fields.with_text(element, "AS", f"{AGE_YEARS_MAX:03}Y")
    return fields.emptied(element, "AS")


def changed(action: Action, tag: int, vr: str, element: Element, walk: Walk) -> Element | None:
    """Return the element under an action; None: nothing of it may stay."""
    if action is Action.EMPTY:
        return fields.emptied(element, vr)
    if action is Action.DUMMY:
        return _dummy(tag, vr, element, walk)
    if action is Action.REMOVE:
        return None
    text = fields.text_of(element, walk.encodings)
    if text is None:
        return fields.emptied(element, vr)
    if action is Action.SHIFT:
        moved = _shifted(vr, text, walk)
        return None if moved is None else fields.with_text(element, vr, moved)
    if action is Action.DESCRIBE:
        words = described(vr, text, walk)
        return None if words is None else fields.with_text(element, vr, words, walk.encodings)
    return _mapped(tag, element, text, walk)


def _dummy(tag: int, vr: str, element: Element, walk: Walk) -> Element | None:
    if tag == PATIENT_ID:
        text = fields.text_of(element, walk.encodings)
        return fields.with_text(element, vr, walk.pseudonyms.patient_id(text)) if text else element
    if vr in DUMMIES:
        return fields.with_text(element, vr, DUMMIES[vr])
    return fields.emptied(element, vr) if vr in BINARY else None


def _shifted(vr: str, text: str, walk: Walk) -> str | None:
    move = {"DA": walk.pseudonyms.date, "TM": walk.pseudonyms.time}
    moved = [move.get(vr, walk.pseudonyms.datetime)(part) for part in text.split("\\")]
    if any(part is None for part in moved):
        return None
    return "\\".join(part for part in moved if part)


def described(vr: str, text: str, walk: Walk) -> str | None:
    """Return the vocabulary words of a description and a mark; None when there is none.

    The mark tells a reader that words may be missing, and sets what we wrote apart from
    what was received.
    """
    words = [w for w in vocabulary.known_words(text) if not walk.known.within(w)]
    if not any(char.isalpha() for word in words for char in word):
        return None
    room, mark = MARKS.get(vr, (_ROOM.get(vr, LONG_MARK[0]), LONG_MARK[1]))
    kept_words = ""
    for word in words:
        if len(kept_words) + len(word) + 1 > room:
            break
        kept_words += f" {word}" if kept_words else word
    return (kept_words + mark) if kept_words else None


def _mapped(tag: int, element: Element, text: str, walk: Walk) -> Element | None:
    parts = [part.strip(" \0") for part in text.split("\\")]
    if not all(_UID.fullmatch(part) for part in parts if part):
        return None
    new = "\\".join(_uid(tag, part, walk) for part in parts)
    return element if new == text else fields.with_text(element, "UI", new)


def _uid(tag: int, uid: str, walk: Walk) -> str:
    """Return the UID to write: well-known ones and kinds of things stay as they are."""
    if not uid or uid in UID_dictionary:
        return uid
    if uid.startswith(PUBLIC_ROOTS) and tag not in CHOSEN:
        return uid
    return walk.pseudonyms.uid(uid)
