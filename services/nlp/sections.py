"""Sections of a note, by the shape of their headings and by a table of names.

A heading is (a) a name of the table, alone on its line, before a colon or a dash at the start of a
line, before a colon at the start of a sentence, in brackets or after a number; or (b) by its
shape alone: a short line in capitals, in 【】, or ending with a colon. What (b) finds is
`UNSPECIFIED`, so that what stands under it is read as the note itself; but a line that ends with
a colon, within a section, begins a part of it. Names of parts (心脏, "Lungs") take the section
they stand in. A heading may come again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from services.nlp import headings, terms
from services.nlp.headings import HeadingName, Section
from services.nlp.tokens import is_han, narrow, tokenize

HEADING_CHARS_MAX = 60
NAME_CHARS_MAX = 48
TOLD_CHARS_MIN = 40
"""Of what stands under a chief complaint in further lines."""


@dataclass(frozen=True, slots=True)
class SectionText:
    """A section: its heading [heading_start, heading_end) and its body [start, end)."""

    section: Section
    heading_start: int
    heading_end: int
    start: int
    end: int
    within: bool = False
    """It is a part of the section before it, whose kind it has."""
    mood: str = ""
    """`doubt` or `watch`, after its heading ("Differential", "Return precautions")."""


@dataclass(frozen=True, slots=True)
class _Heading:
    name: HeadingName
    line: int
    """Where its bullet or number begins: there the section before it ends."""
    start: int
    end: int
    body: int


NO_HEADING = _Heading(HeadingName(Section.UNSPECIFIED), 0, 0, 0, 0)
BRACKET = re.compile(r"\([^()]{0,30}\)$")
LEAD = re.compile(
    r"(?:[#>*=_\-•·●◆■▪ \t\u3000]|[(]?[0-9一二三四五六七八九十]{1,3}[.)、]|[IVX]{1,4}[.)][ \t])*+"
)
"""Bullets and numbers before a heading; possessive, so that no line of bullets is costly."""
BULLET = re.compile(r"[ \t\u3000]*[*\-•·●◆■▪]")
OPENING, CLOSING = "【[<*〔〖『《{=_", "】]>*〕〗』》}=_#: \t\u3000-"
BRACKETED = re.compile(
    r"(?:【(?P<name>[^【】\[\]]{1,15})】|[\[<〔〖《](?P<known>[\u4e00-\u9fff]{2,8})[\]>〕〗》])"
    r"[:]?[ \t\u3000]{0,4}"
)
"""In [ ] a known name alone: they hold what stands for removed identity too, such as [NAME]."""
DASH = re.compile(r"[ \t]{1,4}-{1,2}[ \t]|-{1,2}[ \t]{1,4}")
"""In the plain form of a text every dash is one."""
SENTENCE_ENDS = "。;；.！!?？】"
BARE_ZH = (
    *("主诉", "现病史", "既往史", "个人史", "婚育史", "月经史", "家族史", "药物过敏史", "过敏史"),
    *("体格检查", "辅助检查", "专科检查", "初步诊断", "入院诊断", "出院诊断"),
)
"""Names that need neither colon nor space before the text of their section."""
NOT_BARE = frozenset("为是的中及和与、,。;;已可由系:者明")
CAPITALS = re.compile(r"[A-Z][A-Z /&,()'\-]{3,59}?[ \t]{0,4}:?[ \t]{0,4}$")
CAPITALS_RUN = re.compile(r"[A-Z][A-Z /&,()'\-]{3}")
"""Without one no line is in capitals."""
BEFORE_WORDS = re.compile(r"[A-Z]{2,}(?:[ ][A-Z]{2,}){0,5}(?=[ ]{1,4}[A-Z]?[a-z0-9])")
TITLE_COLON = re.compile(r"(?:[A-Z][A-Za-z /&'\-]{2,40}|[\u4e00-\u9fff]{2,10}):$")
SOAP_LETTERS_MIN = 3
LINE = re.compile(r"[^\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+")
CAPITALS_SHARE_MAX = 0.6
"""Where more of the letters are capitals, capitals make no heading."""


def sections(text: str) -> list[SectionText]:
    """Return the sections in order; they and what precedes the first heading cover the text.

    Text before the first heading is a section `UNSPECIFIED` with an empty heading. Bodies are
    without the space around them. Linear time.
    """
    flat = narrow(text)
    shouts = CAPITALS_RUN.search(flat) is not None and _shouts(flat)
    found = [each for line in LINE.finditer(flat) for each in _in_line(flat, line, shouts)]
    if not found:
        whole = _section(text, NO_HEADING, len(text), Section.UNSPECIFIED, False)
        return [whole] if whole.start < whole.end else []
    # "P: 80" is a pulse but in a note that has S, O and A as well.
    letters = {flat[each.start] for each in found if each.end - each.start == 1}
    if len(letters) < SOAP_LETTERS_MIN:
        found = [each for each in found if each.end - each.start != 1]
    places = [NO_HEADING, *found]
    ends = [heading.line for heading in found] + [len(text)]
    result: list[SectionText] = []
    current = Section.UNSPECIFIED
    for heading, end in zip(places, ends, strict=True):
        kind = heading.name.within
        inside = kind == "part" and current is not Section.UNSPECIFIED
        stop = _line_end(flat, heading.body, end) if kind == "line" else end
        if heading.name.section is Section.CHIEF_COMPLAINT:
            stop = _complaint_end(flat, heading.body, end)
            if stop < end:
                result.append(_section(text, heading, stop, heading.name.section, False))
                heading = _Heading(heading.name, stop, stop, stop, stop)
                current = Section.PRESENT_HISTORY
                result.append(_section(text, heading, end, current, False))
                continue
        if kind == "line":
            result.append(_section(text, heading, stop, heading.name.section, False))
            if not text[stop:end].strip():
                continue
            heading = _Heading(heading.name, stop, stop, stop, stop)
        elif not inside:
            current = heading.name.section
        result.append(_section(text, heading, end, current, inside))
    if result[0].start == result[0].end:
        del result[0]
    return result


def _line_end(flat: str, start: int, end: int) -> int:
    return line.end() if (line := LINE.match(flat, start, end)) else start


def _complaint_end(flat: str, start: int, end: int) -> int:
    """Return where a chief complaint ends that stands on the line of its heading.

    What follows in lines of its own is the illness told, without a heading.
    """
    stop = _line_end(flat, start, end)
    rest = flat[stop:end].strip()
    goes_on = rest[:1].islower() or flat[start:stop].rstrip()[-1:] in ",、"
    is_told = len(rest) >= TOLD_CHARS_MIN and not goes_on
    return stop if flat[start:stop].strip() and is_told else end


def _shouts(flat: str) -> bool:
    if flat.islower():
        return False
    capitals = sum(map(str.isupper, flat))
    return capitals > CAPITALS_SHARE_MAX * (capitals + sum(map(str.islower, flat)))


def _section(text: str, heading: _Heading, end: int, section: Section, within: bool) -> SectionText:
    body = text[heading.body : end]
    start = heading.body + len(body) - len(body.lstrip())
    stop = start + len(body.strip())
    mood = heading.name.within if heading.name.within in ("doubt", "watch") else ""
    return SectionText(section, heading.start, heading.end, start, stop, within, mood)


def _in_line(flat: str, line: re.Match[str], shouts: bool) -> Iterator[_Heading]:
    start, end = line.span()
    first = _at_start(flat, start, end, shouts)
    if first:
        yield first
    after = first.body if first else start
    colon = flat.find(":", after, end)
    while colon >= 0:
        if found := _before_colon(flat, after, colon, end):
            yield found
            after = found.body
        colon = flat.find(":", max(colon + 1, after), end)


def _at_start(flat: str, start: int, end: int, shouts: bool) -> _Heading | None:
    lead = LEAD.match(flat, start, end)
    first = lead.end() if lead else start
    end = start + len(flat[start:end].rstrip())
    if bracketed := BRACKETED.match(flat, first, end):
        group = "name" if bracketed["name"] else "known"
        name = headings.BY_NAME.get(headings.fold(bracketed[group]))
        if name or group == "name":
            name = name or HeadingName(Section.UNSPECIFIED)
            return _Heading(name, start, *bracketed.span(group), bracketed.end())
    limit = min(end, first + NAME_CHARS_MAX)
    colon = flat.find(":", first, limit)
    dash = DASH.search(flat, first, limit) if flat.find("-", first, limit) >= 0 else None
    for stop, body in (
        (colon, colon + 1),
        (dash.start() if dash else -1, dash.end() if dash else -1),
        (end if end - first <= HEADING_CHARS_MAX else -1, end),
    ):
        if stop >= 0 and (found := _named(flat, start, first, stop)):
            return _with_body(found, flat, body, end)
    return _spaced(flat, start, first, end) or _by_shape(flat, start, first, end, shouts)


def _with_body(heading: _Heading, flat: str, body: int, end: int) -> _Heading:
    while body < end and flat[body] in " \t\u3000*】]":
        body += 1
    return _Heading(heading.name, heading.line, heading.start, heading.end, body)


def _named(flat: str, line: int, first: int, stop: int) -> _Heading | None:
    """Return the heading whose name is flat[first:stop], but for brackets around it."""
    while first < stop and flat[first] in OPENING:
        first += 1
    while stop > first and flat[stop - 1] in CLOSING:
        stop -= 1
    if not 0 < stop - first <= NAME_CHARS_MAX or flat[stop - 1] == ".":
        return None
    written = flat[first:stop]
    known = headings.known(written)
    if known is None and written.endswith(")"):
        known = headings.known(BRACKET.sub("", written))
    return _Heading(known, line, first, stop, stop) if known else None


def _before_colon(flat: str, after: int, colon: int, end: int) -> _Heading | None:
    """Return the heading before a colon within a line: it begins a sentence there."""
    least = max(after, colon - NAME_CHARS_MAX)
    place = colon
    while place > least and flat[place - 1] not in SENTENCE_ENDS:
        place -= 1
        if flat[place] == " " and flat[place - 1 : place] == " ":
            break
    begun = place > after and (flat[place - 1] in SENTENCE_ENDS or flat[place] == " ")
    first = place
    while first < colon and flat[first] in " \t\u3000":
        first += 1
    latin = flat[first : first + 1].isascii()
    if not begun or (latin and (first == place or not flat[first].isupper())):
        return _after_space(flat, least, colon, end)
    found = _named(flat, first, first, colon)
    return _with_body(found, flat, colon + 1, end) if found else None


def _after_space(flat: str, least: int, colon: int, end: int) -> _Heading | None:
    """Return a Chinese heading that a space alone parts from what precedes it."""
    first = max(flat.rfind(" ", least, colon), flat.rfind("\t", least, colon)) + 1
    if first <= least or not is_han(flat[first : first + 1]):
        return None
    found = _named(flat, first, first, colon)
    return _with_body(found, flat, colon + 1, end) if found else None


def _spaced(flat: str, line: int, first: int, end: int) -> _Heading | None:
    """Return a heading that text follows on its line without a colon."""
    if is_han(flat[first : first + 1]):
        for name in BARE_ZH if flat.startswith(BARE_ZH, first) else ():
            stop = first + len(name)
            if flat.startswith(name, first) and flat[stop : stop + 1] not in NOT_BARE | {""}:
                return _with_body(
                    _Heading(headings.BY_NAME[name], line, first, stop, stop), flat, stop, end
                )
        stop = flat.find(" ", first, min(end, first + 12))
        found = _named(flat, line, first, stop) if stop > 0 else None
        return _with_body(found, flat, stop, end) if found else None
    return _in_capitals(flat, line, first, end)


def _in_capitals(flat: str, line: int, first: int, end: int) -> _Heading | None:
    """Return a name in capitals that other words follow: "ALLERGIES None"."""
    match = BEFORE_WORDS.match(flat, first, end)
    if match is None or len(match.group()) < 6:  # "PE protocol CT" is none
        return None
    known = headings.known(match.group())
    if known is None or known.within:
        return None
    heading = _Heading(known, line, first, match.end(), match.end())
    return _with_body(heading, flat, match.end(), end)


def _by_shape(flat: str, line: int, first: int, end: int, shouts: bool) -> _Heading | None:
    if end - line > HEADING_CHARS_MAX or first >= end:
        return None
    written = flat[first:end]
    closed = written.endswith(":")
    if CAPITALS.match(written):
        # A medicine in capitals, or a line of a note in capitals, is no heading.
        if not closed and (shouts or BULLET.match(flat, line, end) or _is_mention(written)):
            return None
        name = HeadingName(Section.UNSPECIFIED)
    elif TITLE_COLON.match(written):
        name = HeadingName(Section.UNSPECIFIED, within="part")
    else:
        return None
    stop = first + len(written.rstrip(": \t"))
    return _Heading(name, line, first, stop, end)


def _is_mention(written: str) -> bool:
    found = terms.PROBLEMS_AND_MEDICATIONS.find(tokenize(written))
    return any(match.value.term for match in found)
