"""What a sender is told of a C-STORE. Pure.

Source: DICOM PS3.4 B.2.3 (C-STORE statuses), PS3.7 annex C.
"""

from __future__ import annotations

from services.kernel.errors import MeshError

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
"""Refused, may be sent again later."""
DOES_NOT_MATCH = 0xA900
"""The data set does not match what the request says of it."""
CANNOT_UNDERSTAND = 0xC000
DUPLICATE = 0x0111
"""Duplicate SOP Instance: it is here with other content, and that stays."""
NO_SUCH_INSTANCE = 0x0112
PROCESSING_FAILURE = 0x0110

_BY_REASON = {
    "OTHER_CONTENT": DUPLICATE,
    "INSTANCE_TOO_LARGE": OUT_OF_RESOURCES,
    "DOES_NOT_MATCH": DOES_NOT_MATCH,
}
COMMENT_CHARS_MAX = 64
"""Of (0000,0902) Error Comment, value representation LO."""


def status(error: MeshError) -> int:
    """Return the status of an instance that was not kept."""
    if error.reason in _BY_REASON:
        return _BY_REASON[error.reason]
    return CANNOT_UNDERSTAND if error.retry_after_s is None else OUT_OF_RESOURCES


def comment(error: MeshError) -> str:
    """Return the reason as Error Comment: it is ours, and holds nothing of the file."""
    return error.reason[:COMMENT_CHARS_MAX]
