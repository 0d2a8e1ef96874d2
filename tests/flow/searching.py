"""Looks for everything that was planted, in every form and encoding it may have been left in.

Forms: as written, upper and lower case, full width, reversed; a Chinese name's pinyin in both
orders; a number with or without separators; a date in the usual ways to write it. Encodings:
UTF-8, UTF-16, GB 18030, JSON escapes, hexadecimal as PostgreSQL prints it, base64, ZIP.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import string
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from pydicom import dcmread
from pypinyin import Style, pinyin

from tests.flow.needles import Needles
from tests.flow.planting import BODY, DIGITS, HEAD, TAIL, UID_HEAD, UID_TAIL, Plants

LETTERS, FIGURES = string.ascii_lowercase.encode(), string.digits.encode()
NOT_LETTERS = bytes(set(range(256)) - set(LETTERS))
NOT_FIGURES = bytes(set(range(256)) - set(FIGURES))
_OTHERS = (NOT_LETTERS, NOT_FIGURES)
SHORT_ZH = 2
"""Two characters in GB 18030 are four bytes, which stand in any large file by chance."""
PIECE, PIECE_ZH = 7, 5
"""Length of a piece of a fact that identifies by itself."""
COMMON = frozenset(("hospital", "crescent", "example", "https", "portal"))
STITCHED_LETTERS, STITCHED_FIGURES = 10, 11
"""From this length a name or number is also looked for across separators."""
_BODY = f"[{DIGITS[0]}-{DIGITS[-1]}]{{{BODY}}}"
_TOKEN = re.compile(f"{HEAD}{_BODY}{TAIL}|{TAIL[::-1]}{_BODY}{HEAD[::-1]}".encode())
_HEAD, _ROOT = HEAD.encode(), UID_HEAD.encode()
_WIDE, WIDE = re.compile(b"\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]"), 0xFEE0
"""Full-width signs in UTF-8, and how far each lies from the usual one."""
_UID = re.compile(rf"{re.escape(UID_HEAD)}\d{{5}}{UID_TAIL}".encode())
_HEX = re.compile(rb"\\x((?:[0-9a-f]{2}){8,})")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
_ESCAPE = re.compile(rb"\\u([0-9a-fA-F]{4})")
_CJK = re.compile(r"[\u3400-\u9fff]")
MONTHS = "January February March April May June July August September October November December"
_IS_DAY = re.compile(rf"[年月]|\d{{4}}-\d{{2}}|\d/\d|{MONTHS.replace(' ', '|')}")
ZIP_MARK, DICOM_MARK = b"PK\x03\x04", b"DICM"
LINE_MAX = 100_000
DATE_DIGITS, LONG_NUMBER = 8, 10


Known = dict[bytes, tuple[str, str]]
"""Needle → field, form."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something planted that was found."""

    field: str
    form: str
    place: str

    def __str__(self) -> str:
        return f"{self.field} as {self.form!r} in {self.place}"


class Search:
    """Every form of what was planted; `hits` looks for all of them."""

    def __init__(self, plants: Plants) -> None:
        self._plants = plants
        plain: Known = {}
        letters: Known = {}
        figures: Known = {}
        written_as = {form: where for v, where in plants.facts.items() for form in forms(v)}
        for day, where in plants.dates.items():
            written_as |= dict.fromkeys(written(day), where)
        for form, where in written_as.items():
            _add(form, where, plain, letters, figures)
        self._plain, self._letters, self._figures = map(Needles, (plain, letters, figures))

    def hits(self, content: bytes, place: str) -> Iterator[Hit]:
        """Yield each thing planted that stands in the content, once per form."""
        found: dict[tuple[str, str], None] = {}
        for view in views(content):
            found.update(dict.fromkeys(self._in(_folded(view))))
        for where, form in found:
            yield Hit(where, form, place)

    def _in(self, low: bytes) -> Iterator[tuple[str, str]]:
        yield from self._marked(low)
        for needle, place, known_as in self._plain.found(low):
            if not needle[:1].isdigit() or _stands(needle, place, low):
                yield known_as
        stitched = (
            (self._letters, low.translate(None, NOT_LETTERS)),
            (self._figures, low.translate(None, NOT_FIGURES)),
        )
        for needles, haystack in stitched:
            yield from (known_as for _, _, known_as in needles.found(haystack))

    def _marked(self, low: bytes) -> Iterator[tuple[str, str]]:
        """Yield tokens and UIDs: each has a pattern of its own."""
        if _HEAD in low or _HEAD[::-1] in low:
            for match in _TOKEN.finditer(low):
                token = match[0].decode()
                known = token if token.startswith(HEAD) else token[::-1]
                if where := self._plants.tokens.get(known):
                    yield where, token
        if _ROOT in low:
            for match in _UID.finditer(low):
                if where := self._plants.uids.get(match[0].decode()):
                    yield where, match[0].decode()


def _add(form: str, where: str, plain: Known, letters: Known, figures: Known) -> None:
    """Add a form as it is, in other encodings, and without what stands between its signs."""
    low = form.casefold()
    for encoding in ("utf-8", "utf-16-le", "gb18030"):
        if encoding == "utf-8" or (not low.isascii() and len(low) > SHORT_ZH):
            plain.setdefault(low.encode(encoding), (where, form))
    if not low.isascii():
        return
    only_letters, only_figures = (low.encode().translate(None, x) for x in _OTHERS)
    if len(only_letters) >= STITCHED_LETTERS and not only_figures:
        letters.setdefault(only_letters, (where, form))
    if len(only_figures) >= STITCHED_FIGURES and not only_letters:
        figures.setdefault(only_figures, (where, form))


def forms(value: str) -> set[str]:
    """Return the ways to write a fact."""
    plain = unicodedata.normalize("NFKC", value)
    found = {plain, *_parts(plain)}
    if _is_name(plain):
        found |= romanised(plain)
    return {each for form in found for each in (form, form[::-1])}


def romanised(name: str) -> set[str]:
    """Return the pinyin of a Chinese name: joined, spaced, given name first."""
    syllables = [each[0] for each in pinyin(name, style=Style.NORMAL)]
    split = 2 if len(name) > 3 else 1
    family, given = "".join(syllables[:split]), "".join(syllables[split:])
    return {family + given, given + family, f"{family} {given}", f"{given} {family}"}


def written(day: date) -> set[str]:
    """Return a date in digits, words and signs."""
    month = MONTHS.split()[day.month - 1]
    return {
        *(day.strftime(f"%Y{sign}%m{sign}%d") for sign in ("", "-", "/", ".")),
        f"{day.year}年{day.month}月{day.day}日",
        f"{day.year}年{day.month:02}月{day.day:02}日",
        f"{day.day} {month} {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.month:02}/{day.day:02}/{day.year}",
        f"{day.day:02}/{day.month:02}/{day.year}",
    }


def views(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield the content, and what is wrapped up in it."""
    yield _HEX.sub(b"", content)
    if depth > 2:
        return
    if b"\0" in content:
        yield content.replace(b"\0", b"")  # UTF-16 of Latin letters
    if b"\\u" in content:
        yield _ESCAPE.sub(lambda found: _character(found[1]), content)
    for match in _HEX.finditer(content):
        yield from views(bytes.fromhex(match[1].decode()), depth + 1)
    for match in _BASE64.finditer(content):
        try:
            inner = base64.b64decode(match[0], validate=True)
        except (binascii.Error, ValueError):
            continue
        yield from views(inner, depth + 1)
    if content[128:132] == DICOM_MARK:
        yield _elements(content)
    if content.startswith(ZIP_MARK):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from views(archive.read(name), depth + 1)


def _elements(content: bytes) -> bytes:
    """Return the texts of a DICOM file, one a line: nothing else touches a date there."""
    lines: list[bytes] = []
    for element in dcmread(io.BytesIO(content), force=True).iterall():
        if element.VR == "DT":  # the day by itself
            lines.append(f"{str(element.value)[:8]} {element.value}".encode())
        elif element.VR != "SQ" and len(str(element.value)) < LINE_MAX:
            lines.append(str(element.value).encode("utf-8", "replace"))
    return b"\n".join(lines)


def _character(code: bytes) -> bytes:
    return chr(int(code, 16)).encode("utf-8", "replace")


def _folded(view: bytes) -> bytes:
    """Return the view in lower case and usual width."""
    return _WIDE.sub(lambda found: bytes([ord(found[0].decode()) - WIDE]), view).lower()


def _stands(needle: bytes, place: int, low: bytes) -> bool:
    """Tell whether a number is one, and not digits from within a longer one.

    Eight digits, as a date has them, stand in every UID, decimal and hash by chance.
    """
    before, after = (
        low[max(place - 1, 0) : place],
        low[place + len(needle) : place + len(needle) + 1],
    )
    if len(needle) == DATE_DIGITS and needle.isdigit():
        return not (before.isalnum() or before == b"." or after.isalnum())
    return not (before.isdigit() or after.isdigit())


def _is_name(text: str) -> bool:
    return 2 <= len(text) <= 4 and all(map(_CJK.match, text))


def _parts(text: str) -> set[str]:
    """Return what identifies by itself: a given name, a word, a piece of an address or number."""
    if _is_name(text):
        split = 2 if len(text) > 3 else 1
        return {text[split:]} if len(text[split:]) > 1 else set()
    if _IS_DAY.search(text):
        return set()
    if _CJK.search(text):
        ends = range(PIECE_ZH, len(text) + 1)
        return {piece for end in ends if _CJK.search(piece := text[end - PIECE_ZH : end])}
    words = {word for word in re.split(r"[^A-Za-z]+", text) if len(word) >= PIECE}
    if sum(map(str.isdigit, text)) > PIECE and not re.search("@|://", text):
        words |= {text[:PIECE], text[-PIECE:]}
    return {word for word in words if word.casefold() not in COMMON}
