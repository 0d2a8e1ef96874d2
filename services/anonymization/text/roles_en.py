"""English names without a label: beside a role, a relation or what a person does.

Two capitals in a row that are in no vocabulary are a name; one alone is where a role, an act
or a farewell stands beside it. The words are in `roles_en.txt` and `capitals_en.txt`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from services.anonymization import vocabulary
from services.anonymization.text.edits import Edit
from services.anonymization.text.tables import either, sections, words

_KNOWN_NAMES = frozenset(words("names_en.txt"))
_CAPITALS = frozenset(words("capitals_en.txt"))
_TABLE = sections("roles_en.txt")


def _any(*names: str) -> str:
    """Return a pattern of a table's words, each with a small or a capital first letter."""
    found = [word.replace("_", " ") for name in names for word in _TABLE[name]]
    return either([f"[{w[0].lower()}{w[0].upper()}]{re.escape(w[1:])}" for w in found])


_CAP = r"(?:O['’]|Mac|Mc|D['’])?[A-Z][a-z'’]{1,30}(?:[A-Z][a-z]{1,30})?(?:-[A-Z][a-z]{1,30})?"
_INITIAL = r"[A-Z]\."
_OF = r"(?:(?:van|von|de|der|den|di|da|del|della|la|le|bin|ibn|al|el|ter|ten|dos|du) ){1,2}"
_FIRST = rf"(?:{_INITIAL} ?){{0,2}}(?:{_OF})?{_CAP}"
_NAME = rf"{_FIRST}(?:(?:,? {_INITIAL})?,? (?:{_OF})?{_CAP}){{0,2}}"
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Dr|Prof)\.?"
_SHOUT = r"[A-Z][A-Z'-]{1,30}"

_BESIDE_ROLE = re.compile(
    rf"\b(?:{_any('relatives', 'staff')})\b(?:'s name)?,?(?: is| was|:| named| called)?,? "
    rf"\(?({_NAME})"
)
_MORE = re.compile(rf"(?:, | and |, and |/)({_NAME})")
_ALONE = (
    _BESIDE_ROLE,
    re.compile(rf"\b(?:{_any('by')}) by ({_NAME})"),
    re.compile(rf"\b(?:{_any('with')}) with ({_NAME})"),
    re.compile(rf"\b(?:{_any('directly')}) ({_NAME})"),
    re.compile(
        rf"(?:^|(?<=[.;:!?] )|(?<=\n)|(?<=, )|(?<=[a-z] ))({_NAME})"
        rf"(?= (?:{either([w.replace('_', ' ') for w in _TABLE['does']])}"
        rf"|is an? (?:\d|{either(_TABLE['is'])}))\b)",
        re.M,
    ),
    re.compile(rf"\b(?:{_any('farewells')}),?\s{{1,3}}({_NAME})(?=\s*$|[.,\n])", re.M),
    re.compile(rf"\b(?:Nurse|Matron|Charge Nurse|Staff Nurse) ({_NAME})"),
    re.compile(rf"\b({_NAME}) \((?:{_any('relatives', 'staff')})\b"),
)
"""Places of a name, however it is written; words around it are cut off."""
_UNKNOWN = (
    re.compile(rf"\b({_CAP})['’]s (?:{either(_TABLE['owned'])})\b"),
    re.compile(rf"\b((?:{_INITIAL} ?){{1,2}}(?:{_OF})?{_CAP})\b"),
    re.compile(rf"\b({_CAP} (?:{_INITIAL} |{_OF})?{_CAP})\b"),
    re.compile(
        rf"\b({_CAP}, {_CAP}(?: [A-Z]\.?)?)"
        r"(?= (?:MD|M\.D\.|DO|RN|NP|PA|PhD|MBBS)\b|,? \d{1,3} ?[MFmf/])"
    ),
    re.compile(rf"^({_CAP}, {_CAP})(?=\s*[:\n(])", re.M),
)
"""Names none of whose words is known."""
_SHOUTED = (
    re.compile(
        rf"\b({_SHOUT}, ?{_SHOUT}(?: [A-Z]\b\.?)?)"
        r"(?=\s+(?:\d{1,3} ?[MF]\b|\d{1,3} ?(?:yo|y/o)|DOB|MRN|[MF]\b))"
    ),
    re.compile(
        r"\b(?:NAME|Name|PATIENT|Patient|PT|RE|Re)\b[ ]?[:=]?[ ]+"
        rf"({_SHOUT}(?:,? [A-Z][A-Z'-]{{0,30}}){{1,2}})\b"
    ),
)
_TITLED = (
    re.compile(rf"\b{_TITLE} ([A-Z]\.?)(?=[ ,;:'’.]|$)"),
    re.compile(rf"\b{_TITLE} ({_OF}{_CAP}(?:-{_CAP})?)"),
)
CHAIN_MAX = 8


def find(text: str) -> Iterator[Edit]:
    """Yield every name that its surroundings show."""
    for pattern in _ALONE:
        for match in pattern.finditer(text):
            if span := _trimmed(*match.span(1), text):
                yield Edit(*span, "NAME")
                if pattern is _BESIDE_ROLE:
                    yield from _list(text, span[1])
    for pattern in _UNKNOWN:
        for match in pattern.finditer(text):
            if not any(map(_is_word, _parts(match[1]))):
                yield Edit(*match.span(1), "NAME")
    for pattern in _SHOUTED:
        for match in pattern.finditer(text):
            if not all(map(_is_word, _parts(match[1]))):
                yield Edit(*match.span(1), "NAME")
    for pattern in _TITLED:
        for match in pattern.finditer(text):
            yield Edit(*match.span(1), "NAME")


def _list(text: str, end: int) -> Iterator[Edit]:
    """Yield the names that follow in one list."""
    for _ in range(CHAIN_MAX):
        match = _MORE.match(text, end)
        span = _trimmed(*match.span(1), text) if match else None
        if not match or not span or span[0] != match.start(1):
            return
        yield Edit(*span, "NAME")
        end = span[1]


def _trimmed(start: int, end: int, text: str) -> tuple[int, int] | None:
    """Return the span without the words around the name; None when nothing is left.

    A word that may be a family name stays behind a given name: Odette Marsh.
    """
    places = [(m.start() + start, m.end() + start) for m in re.finditer(r"\S+", text[start:end])]
    said = [text[slice(*place)].strip(",.") for place in places]
    while said and _is_word(said[0]):
        del said[0], places[0]
    while len(said) > 1 and (
        said[-1].lower() in _CAPITALS or (len(said) > 2 and _is_word(said[-1]))
    ):
        del said[-1], places[-1]
    if not any(len(word) > 1 for word in said):
        return None
    first = places[0][0]
    return first, first + len(text[first : places[-1][1]].rstrip(",."))


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[ ,.-]+", name) if len(part) > 1]


@cache
def _is_word(word: str) -> bool:
    """Tell whether a word is one of medicine or of the language, and no usual name."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    if low in _CAPITALS:
        return True
    return len(low) > 1 and low in vocabulary.WORDS and low not in _KNOWN_NAMES
