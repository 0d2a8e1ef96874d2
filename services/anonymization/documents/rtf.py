"""The text of Rich Text Format, by the library striprtf.

Word and WPS write a Chinese note as bytes of a code page (`\\ansicpg936`, or a font of the
character set 134) or as `\\u` with 16-bit units. What was deleted under tracked changes,
struck through or hidden is no statement and is left out.

Source: Rich Text Format Specification 1.9.1, Microsoft 2008.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from services.anonymization.documents.taken import UnusableNote

BEGINNING = b"{\\rtf"
_BINARY = re.compile(r"(?<!\\)\\bin\d")
_STEP = re.compile(
    r"\\[\\{}]|\\(?:deleted|striked?|v)(0?)(?![a-z0-9])|\\striked[01](?![0-9])|\\plain(?![a-z])|[{}]"
)
DEPTH_MAX = 1000
"""Groups within groups; text processors stay far below."""
_PICTURE = re.compile(rb"(?<![0-9A-Fa-f\r\n])[0-9A-Fa-f\r\n]{2000,}+")
"""Bytes of a picture or an object, written as figures: no text, and most of such a file."""
_RAW = re.compile(rb"[\x80-\xff]+")
_BYTES = re.compile(r"((?:\\'[0-9a-fA-F]{2})++)([@-\[\]-z|~])?")


def plain(content: bytes) -> str:
    """Return the text of an RTF document.

    Raises
    ------
    UnusableNote
        NOTE_UNDECODABLE: not RTF, or bytes that its code page does not have.
    """
    from striprtf import striprtf  # only where a note is RTF

    read: Callable[..., str] = striprtf.rtf_to_text

    source = _RAW.sub(_as_escapes, _PICTURE.sub(b" ", content)).decode("ascii")
    if _BINARY.search(source):
        raise UnusableNote("a note holds raw bytes in its text", reason="NOTE_UNDECODABLE")
    whole = _BYTES.sub(_with_trail, "".join(_said(source)))
    try:
        text = read(whole, encoding="cp1252", errors="strict")
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except (ValueError, LookupError, OverflowError) as error:
        raise UnusableNote(
            "a note is no RTF that can be read", reason="NOTE_UNDECODABLE"
        ) from error


def _as_escapes(run: re.Match[bytes]) -> bytes:
    """Write what some systems put in as it is: UTF-8, or bytes of the code page."""
    try:
        units = run[0].decode("utf-8").encode("utf-16-be")
    except UnicodeDecodeError:
        return b"".join(b"\\'%02x" % byte for byte in run[0])
    pairs = (units[place : place + 2] for place in range(0, len(units), 2))
    return b"".join(b"\\uc0\\u%d " % int.from_bytes(pair, "big") for pair in pairs)


def _said(source: str) -> Iterator[str]:
    """Yield a document without what is deleted, struck through or hidden; groups stay whole."""
    outer: list[bool] = []
    hidden, place = False, 0
    for step in _STEP.finditer(source):
        if not hidden:
            yield source[place : step.start()]
        place = step.end()
        word = step[0]
        if word in ("{", "}"):
            yield word
            if word == "{":
                outer.append(hidden)
                if len(outer) > DEPTH_MAX:
                    raise UnusableNote(
                        f"a note is nested deeper than {DEPTH_MAX}", reason="NOTE_UNDECODABLE"
                    )
            elif outer:
                hidden = outer.pop()
        elif word[1] in "\\{}":
            if not hidden:
                yield word
        else:
            hidden = not word.endswith("0") and word != "\\plain"
            if word == "\\plain":
                yield word
    if not hidden:
        yield source[place:]


def _with_trail(run: re.Match[str]) -> str:
    """Write the second byte of a character, where it is a letter, as a byte too.

    In a code page of one byte the letter means the same either way.
    """
    if run[2] is None:
        return run[0]
    pairs = bytes.fromhex(run[1].replace("\\'", ""))
    place = 0
    while place < len(pairs):
        if pairs[place] < 0x81:
            place += 1
        elif place + 1 == len(pairs):
            return f"{run[1]}\\'{ord(run[2]):02x}"
        else:
            place += 2
    return run[0]
