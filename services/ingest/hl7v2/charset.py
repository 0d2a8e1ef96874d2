"""The text of a message, by the character set that it states. Pure.

MSH-18 is honoured. A message that contradicts it is refused rather than guessed at: names and
results in the wrong characters look like names and results. Where MSH-18 is empty the sender's
own set holds, else ASCII, or UTF-8 where the bytes can be nothing else.

Source: HL7 v2.9 2.14.9.18 and table 0211, Alternate Character Sets.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from services.ingest.hl7v2.asides import Asides, Place
from services.ingest.hl7v2.refusal import NOT_IN_TABLE, NotTaken

CHARSET = Place("MSH", 1, 18)
_PLAIN = re.compile(r"[^A-Z0-9]")
_CODECS = {
    "ASCII": "ascii",
    "UNICODE": "utf-8",
    "UNICODEUTF8": "utf-8",
    "UTF8": "utf-8",
    "GB180302000": "gb18030",
    "GB18030": "gb18030",
    "GB2312": "gb18030",
    "GBK": "gb18030",
    "BIG5": "big5hkscs",
    "88591": "iso8859-1",
    **{f"8859{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 15)},
}
"""Names of table 0211 without spaces and marks, and others that are met."""
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (b"\x841\x953", "gb18030"))
_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_C1 = re.compile("[\x80-\x9f]")
_LATIN = frozenset(f"iso8859-{n}" for n in (1, 2, 3, 4, 9, 15))
_HIGH = re.compile("[\xa0-\U0010ffff]+")
_PAIRS_MIN = 2


@dataclass(frozen=True, slots=True)
class Decoded:
    """A message as text."""

    text: str
    codec: str


def codec_of(name: str) -> str:
    """Return Python's codec for a name of table 0211; empty when it is not read."""
    return _CODECS.get(_PLAIN.sub("", name.upper()), "")


def decode(content: bytes, stated: str, fallback: str, asides: Asides) -> Decoded:
    """Return the text of a message.

    Parameters
    ----------
    stated : MSH-18, its first repetition; empty: not stated
    fallback : what the sender uses where it states nothing, as MSH-18 would name it

    Raises
    ------
    NotTaken
        CHARSET_NOT_READ, CHARSET_DOES_NOT_FIT, CHARSET_NOT_STATED.
    """
    content, marked = _without_mark(content)
    codec = codec_of(stated) if stated else codec_of(fallback)
    if stated and not codec:
        raise NotTaken(
            "MSH-18 names a character set that is not read; use UNICODE UTF-8 or GB 18030-2000",
            reason="CHARSET_NOT_READ",
            code=NOT_IN_TABLE,
            place=CHARSET,
        )
    if marked and codec != marked:
        if stated:
            text = "the byte-order mark contradicts MSH-18; the mark was followed"
            asides.add(CHARSET, "CHARSET_CONTRADICTED", text)
        codec = marked
    if not codec:
        codec = _unstated(content, asides)
    return Decoded(_cleaned(_text(content, codec), asides), codec)


def is_wide(content: bytes) -> bool:
    """Tell whether a message is in UTF-16, marked or not."""
    return content.startswith((*_WIDE_BOMS, "MSH".encode("utf-16-le"), "MSH".encode("utf-16-be")))


def wide() -> NotTaken:
    """Return why a message in UTF-16 is not taken."""
    return NotTaken(
        "the message is in UTF-16, which is not read; send UTF-8 and UNICODE UTF-8 in MSH-18",
        reason="CHARSET_NOT_READ",
        code=NOT_IN_TABLE,
        place=CHARSET,
    )


def _without_mark(content: bytes) -> tuple[bytes, str]:
    content = content.lstrip(b" \r\n\t")
    if content.startswith(_WIDE_BOMS):
        raise wide()
    for mark, codec in _BOMS:
        if content.startswith(mark):
            return content[len(mark) :].lstrip(b" \r\n\t"), codec
    return content, ""


def _unstated(content: bytes, asides: Asides) -> str:
    if content.isascii():
        return "ascii"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotTaken(
            "the message is not ASCII and MSH-18 is empty; state the character set in MSH-18",
            reason="CHARSET_NOT_STATED",
            code=NOT_IN_TABLE,
            place=CHARSET,
        ) from error
    text = "MSH-18 is empty; the message was read as UTF-8, which its bytes are"
    asides.add(CHARSET, "CHARSET_NOT_STATED", text)
    return "utf-8"


def _text(content: bytes, codec: str) -> str:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise _does_not_fit() from error
    if codec.startswith("iso8859") and _C1.search(text):
        raise _does_not_fit()  # any bytes are Latin, these are nobody's text
    if codec in _LATIN and _in_pairs(content):
        raise _does_not_fit()
    return text


def _in_pairs(content: bytes) -> bool:
    """Tell whether every letter beyond ASCII stands in pairs: Chinese, not Latin."""
    runs = [len(run) for run in _HIGH.findall(content.decode("latin-1"))]
    return sum(runs) >= 2 * _PAIRS_MIN and all(run % 2 == 0 for run in runs)


def _does_not_fit() -> NotTaken:
    return NotTaken(
        "the message is not in the character set that MSH-18 states; correct MSH-18",
        reason="CHARSET_DOES_NOT_FIT",
        code=NOT_IN_TABLE,
        place=CHARSET,
    )


def _cleaned(text: str, asides: Asides) -> str:
    cleaned, count = _CONTROLS.subn("", text)
    if count:
        said = "control characters, null bytes among them, were left out"
        asides.add(Place("message"), "CONTROL_CHARACTERS", said)
    return cleaned
