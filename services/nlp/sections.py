"""Sections of a note, by the shape of their headings and by a table of names.

A heading is (a) a name of the table, alone on its line, or before a colon at the start of a
line or of a sentence, in brackets 【】 or after a number; or (b) by its shape alone: a short line
in capitals, in 【】, or ending with a colon. What (b) finds under no name is `other`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from services.nlp import tables
from services.nlp.tokens import narrow

HEADING_CHARS_MAX = 60


class Section(Enum):
    """What a section is about."""

    UNSPECIFIED = "unspecified"
    CHIEF_COMPLAINT = "chief_complaint"
    PRESENT_HISTORY = "present_history"
    PAST_HISTORY = "past_history"
    PERSONAL_HISTORY = "personal_history"
    FAMILY_HISTORY = "family_history"
    ALLERGIES = "allergies"
    MEDICATIONS = "medications"
    EXAMINATION = "examination"
    INVESTIGATIONS = "investigations"
    DIAGNOSIS = "diagnosis"
    PLAN = "plan"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class SectionText:
    """A section: its heading [heading_start, heading_end) and its body [start, end)."""

    section: Section
    heading_start: int
    heading_end: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Heading:
    section: Section
    line: int
    """Where its bullet or number begins: there the section before it ends."""
    start: int
    end: int
    body: int


def _fold(name: str) -> str:
    return re.sub(r"\s+", "", name).casefold()


def _spaced(name: str) -> str:
    """Return a pattern for a name: "主 诉" and "PAST  MEDICAL HISTORY" are the same as without."""
    if name.isascii():
        return r"[ \t]{1,4}".join(re.escape(word) for word in name.split())
    return r"[ \t\u3000]{0,4}".join(re.escape(character) for character in name)


BY_NAME = {
    _fold(name): Section(row["section"])
    for row in tables.rows("headings")
    for name in (*tables.names(row["names_zh"]), *tables.names(row["names_en"]))
}
_ALL = sorted(
    (n for r in tables.rows("headings") for n in tables.names(r["names_zh"] + ";" + r["names_en"])),
    key=len,
    reverse=True,
)
NAME_ZH = "|".join(_spaced(name) for name in _ALL if not name.isascii())
NAME_EN = "|".join(_spaced(name) for name in _ALL if name.isascii())

LEAD = r"(?:[#>*=\-•·●◆ \t\u3000]|[(]?[0-9一二三四五六七八九十]{1,3}[.)、])*+"
"""Bullets and numbers before a heading; possessive, so that no line of bullets is costly."""
LINE_HEADING = re.compile(
    rf"{LEAD}[【\[<*]{{0,3}}(?P<name>{NAME_ZH}|{NAME_EN})[】\]>*]{{0,3}}[ \t\u3000]{{0,4}}"
    r"(?:(?P<colon>[:][ \t\u3000*]{0,4})|(?P<dash>-{1,2}[ \t]{1,4})|(?=$))",
    re.IGNORECASE,
)
BRACKETED = re.compile(rf"{LEAD}【(?P<name>[^【】\[\]]{{1,15}})】[:]?[ \t\u3000]{{0,4}}")
"""Not [ ], which hold what stands for removed identity, such as [NAME]."""
SPACED_ZH = re.compile(rf"{LEAD}(?P<name>{NAME_ZH})[ \t\u3000]{{1,8}}(?=\S)")
INLINE_ZH = re.compile(rf"(?<=[。;；.！!?？ \t\u3000】])(?P<name>{NAME_ZH})[:][ \t\u3000]{{0,4}}")
INLINE_EN = re.compile(
    rf"(?<=[.;!?] |[.;!?]\t|  )(?P<name>(?=[A-Z])(?:{NAME_EN})):[ \t]{{0,4}}", re.IGNORECASE
)
CAPITALS = re.compile(rf"{LEAD}(?P<name>[A-Z][A-Z /&,()'\-]{{3,59}}?)[ \t]{{0,4}}:?[ \t]{{0,4}}$")
TITLE_COLON = re.compile(rf"{LEAD}(?P<name>[A-Z][A-Za-z /&'\-]{{2,40}}|[\u4e00-\u9fff]{{2,10}}):$")
LINE = re.compile(r"[^\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")


def sections(text: str) -> list[SectionText]:
    """Return the sections in order; they and what precedes the first heading cover the text.

    Text before the first heading is a section `UNSPECIFIED` with an empty heading. Bodies are
    without the space around them. Linear time.
    """
    flat = narrow(text)
    headings = [found for line in LINE.finditer(flat) for found in _in_line(flat, line)]
    places = [_Heading(Section.UNSPECIFIED, 0, 0, 0, 0), *headings]
    ends = [heading.line for heading in headings] + [len(text)]
    result = [_section(text, heading, end) for heading, end in zip(places, ends, strict=True)]
    if result[0].start == result[0].end:
        del result[0]
    return result


def _section(text: str, heading: _Heading, end: int) -> SectionText:
    body = text[heading.body : end]
    start = heading.body + len(body) - len(body.lstrip())
    stop = start + len(body.strip())
    return SectionText(heading.section, heading.start, heading.end, start, stop)


def _in_line(flat: str, line: re.Match[str]) -> list[_Heading]:
    first = _at_start(flat, line.start(), line.end())
    after = first.body if first else line.start()
    found = [first] if first else []
    if ":" in line.group():
        pattern = INLINE_EN if line.group().isascii() else INLINE_ZH
        found += [_of(match, match.end()) for match in pattern.finditer(flat, after, line.end())]
    return found


def _at_start(flat: str, start: int, end: int) -> _Heading | None:
    stripped_end = start + len(flat[start:end].rstrip())
    for pattern in (LINE_HEADING, BRACKETED, SPACED_ZH):
        if match := pattern.match(flat, start, stripped_end):
            return _of(match, match.end())
    if stripped_end - start > HEADING_CHARS_MAX:
        return None
    for pattern in (CAPITALS, TITLE_COLON):
        if match := pattern.match(flat, start, stripped_end):
            return _of(match, match.end())
    return None


def _of(match: re.Match[str], body: int) -> _Heading:
    name = match.group("name")
    # Of a heading nobody foresaw, what stands under it may matter: it is read as the note itself.
    section = BY_NAME.get(_fold(name), Section.UNSPECIFIED)
    return _Heading(section, match.start(), match.start("name"), match.end("name"), body)
