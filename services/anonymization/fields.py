"""Text of a DICOM element, raw or read, and the element with another text.

A file's elements stay raw bytes unless something must look inside: reading every value
into objects and writing it out again is most of what de-identification costs elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

Element = DataElement | RawDataElement
TEXT_DELIMITERS = {0x0A, 0x0C, 0x0D, 0x09, 0x5C}


CHARSET = BaseTag(0x00080005)


def encodings_of(dataset: Dataset) -> list[str]:
    """Return the Python encodings of the data set's Specific Character Set."""
    element = dataset._dict.get(CHARSET)
    text = text_of(element, ["ascii"]) if element is not None else None
    if not text:
        return ["iso8859"]
    try:
        return list(convert_encodings(text.split("\\")))
    except (LookupError, ValueError):
        return ["iso8859"]


def text_of(element: Element, encodings: list[str]) -> str | None:
    """Return the element's text, values joined by backslash; None when it holds none."""
    value = element.value
    if value is None or isinstance(value, bytes | bytearray):
        if not value:
            return None
        try:
            text = value.decode("ascii")
        except UnicodeDecodeError:
            text = _decoded(bytes(value), encodings)
        return text.strip(" \0") or None
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(map(_as_text, value)) or None
    return _as_text(value) or None


def with_text(
    element: Element, vr: str, text: str, encodings: Sequence[str] = ("iso8859",)
) -> Element:
    """Return the element with another text, written in the data set's encodings."""
    if isinstance(element, RawDataElement):
        content = text.encode("ascii") if text.isascii() else encode_string(text, [*encodings])
        if len(content) % 2:
            content += b"\0" if vr == "UI" else b" "
        return element._replace(VR=element.VR and vr, length=len(content), value=content)
    return new(element.tag, vr, text)


def new(tag: int, vr: str, text: str) -> DataElement:
    """Return a fresh element; a backslash separates values."""
    return DataElement(BaseTag(tag), vr, text.split("\\") if "\\" in text else text)


def emptied(element: Element, vr: str) -> Element:
    """Return the element with zero length."""
    if isinstance(element, RawDataElement):
        return element._replace(length=0, value=b"")
    return DataElement(element.tag, vr, None)


def _as_text(value: object) -> str:
    original = getattr(value, "original_string", None)
    if isinstance(original, str):
        return original.strip(" \0")
    return "" if value is None else str(value).strip(" \0")


def _decoded(content: bytes, encodings: list[str]) -> str:
    try:
        return decode_bytes(content, encodings, TEXT_DELIMITERS)
    except (LookupError, UnicodeError):
        return content.decode("latin-1")
