"""Bytes of a file, or a refusal."""

from __future__ import annotations

from typing import BinaryIO

from services.imaging.pathology.slides.refusals import DamagedSlide


def piece(file: BinaryIO, at: int, length: int) -> bytes:
    """Return `length` bytes from a place in a file.

    Raises
    ------
    DamagedSlide
        The file does not reach that far.
    """
    try:
        file.seek(at)
        content = file.read(length)
    except (OSError, OverflowError, ValueError) as error:
        raise DamagedSlide("the file cannot be read", bytes=length) from error
    if len(content) != length:
        raise DamagedSlide("the file ends too early", bytes=len(content), wanted=length)
    return content
