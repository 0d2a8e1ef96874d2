"""Bytes of a note decoded by what they say of themselves, or refused; never guessed into mojibake.

Source: GB 18030-2022; Unicode 15, 2.13 (byte-order marks); XML 1.0, 4.3.3.
"""

from __future__ import annotations

import re
import unicodedata

from services.anonymization.documents.taken import UnusableNote

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w-]+)", re.I)
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w-]+)[\"']")
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\x84\x31\x95\x33", "gb18030"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte-order marks and what they mean."""
_CODECS = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "x-gbk", "cp936"), "gb18030"),
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
    **{name: name for name in ("utf-16", "utf-16le", "utf-16be")},
    **dict.fromkeys(("big5", "big5-hkscs"), "big5hkscs"),
    **{f"iso-8859-{n}": f"iso8859-{n}" for n in range(1, 17) if n != 12},
    **{f"windows-{n}": f"cp{n}" for n in range(1250, 1259)},
}
"""Names of character sets that are read, lower case. Python knows more, and some of those are no
character sets, fail in ways of their own, or take quadratic time."""


def decoded(content: bytes, parameters: str) -> str:
    """Return the text of `content`; `parameters` are those of its media type.

    A byte-order mark goes first, then the charset of the media type, then what XML declares,
    then UTF-8 and GB18030.

    Raises
    ------
    UnusableNote
        NOTE_UNDECODABLE.
    """
    stated, declared = _CHARSET.search(parameters), _DECLARED.search(content[:200])
    candidates = [codec for mark, codec in _MARKS if content.startswith(mark)]
    if not candidates:
        name = stated[1] if stated else declared[1].decode() if declared else ""
        known = [_CODECS[name.lower()]] if name.lower() in _CODECS else []
        candidates = known if name else ["utf-8", "gb18030"]
    for codec in candidates:
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        if _is_plausible(text):
            return text.lstrip("\ufeff")
    raise UnusableNote("a note is in no encoding that is read here", reason="NOTE_UNDECODABLE")


def printable(text: str) -> str:
    """Return the text without control characters other than line ends and tabs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")


def _is_plausible(text: str) -> bool:
    """Tell whether a text is made of assigned characters; wrong encodings are not."""
    odd = sum(unicodedata.category(char) in ("Cn", "Co") or char == "\ufffd" for char in text)
    return odd == 0 and text.count("\0") * 10 <= len(text)
