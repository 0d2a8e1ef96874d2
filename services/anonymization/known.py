"""Strings that are known to identify this patient, in every form they may be written.

From one name: both orders, its parts, its pinyin, and all of them backwards; compared
without case, width, spaces and punctuation. Initials are left out: they are in every text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from services.anonymization import vocabulary

NAME, NUMBER, PLACE = "NAME", "ID", "ADDRESS"
READINGS_MAX = 8
ANYWHERE_LENGTH = 8
"""A form this long is removed even inside a longer word."""
_CJK = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
_GENERIC = frozenset(
    (
        *("none", "unknown", "anonymous", "anonymized", "deidentified", "patient", "test", "anon"),
        *("male", "female", "other", "home", "hospital", "clinic", "china"),
        *("患者", "病人", "医院", "中国"),
    )
)
"""What stands in name and address fields without naming anybody."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a known string, folded."""

    folded: str
    label: str
    whole_word: bool
    """It must not touch other letters or digits."""
    capital: bool = False
    """Also a common word: only where it is written with a capital."""


def fold(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, width and case folded, and where each stood."""
    letters: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for each in char.casefold() if char.isascii() else _fold_wide(char):
            if each.isalnum():
                letters.append(each)
                places.append(place)
    return "".join(letters), places


@lru_cache(maxsize=4096)
def _fold_wide(char: str) -> str:
    plain = unicodedata.normalize("NFKD", char).casefold()
    return "".join(each for each in plain if not unicodedata.combining(each))


@dataclass(frozen=True)
class KnownStrings:
    """What identifies one patient, and who else is named beside that patient."""

    names: frozenset[str] = field(default_factory=frozenset)
    """Personal names as written, parts separated by spaces, commas or carets."""
    numbers: frozenset[str] = field(default_factory=frozenset)
    """Identifiers, telephone numbers, e-mail and other contact strings."""
    places: frozenset[str] = field(default_factory=frozenset)
    """Addresses, their parts, and organisations."""

    def __or__(self, other: KnownStrings) -> KnownStrings:
        return KnownStrings(
            self.names | other.names, self.numbers | other.numbers, self.places | other.places
        )

    @cached_property
    def forms(self) -> tuple[Form, ...]:
        """Every form to look for, longest first."""
        found: dict[str, Form] = {}
        written = itertools.chain(
            (form for name in self.names for form in _name_forms(name)),
            (form for number in self.numbers for form in _number_forms(number)),
            (form for place in self.places for form in _place_forms(place)),
        )
        for form in written:
            for each in (form, *_backwards(form)):
                found.setdefault(each.folded, each)
        return tuple(sorted(found.values(), key=lambda form: (-len(form.folded), form.folded)))

    def within(self, text: str) -> bool:
        """Tell whether a short text, such as a DICOM value, holds a known string."""
        if not (self.names or self.numbers or self.places):
            return False
        folded, _ = fold(text)
        return any(form.folded in folded for form in self.forms)

    def in_number(self, text: str) -> bool:
        """Tell whether one of the values in a numeric text is a known identifier."""
        return any(part.strip() in self.numbers for part in text.split("\\") if len(part) > 5)

    def spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield (start, end, label) of every known string in a text."""
        if not self.forms:
            return
        folded, places = fold(text)
        for start, form in self._matches(folded):
            first, last = places[start], places[start + len(form.folded) - 1] + 1
            if _stands(form, text, first, last):
                yield first, last, form.label

    def _matches(self, folded: str) -> Iterator[tuple[int, Form]]:
        """Yield every place of every form; a text that itself names thousands stays quick."""
        by_text, lengths = self._index
        for start in range(len(folded) - 1):
            for length in lengths.get(folded[start : start + 2], ()):
                form = by_text.get(folded[start : start + length])
                if form and len(form.folded) == length:  # not one cut at the end
                    yield start, form

    @cached_property
    def _index(self) -> tuple[dict[str, Form], dict[str, set[int]]]:
        """Return forms by their text, and the lengths of those that begin with two characters."""
        lengths: dict[str, set[int]] = {}
        for form in self.forms:
            lengths.setdefault(form.folded[:2], set()).add(len(form.folded))
        return {form.folded: form for form in self.forms}, lengths


def _stands(form: Form, text: str, first: int, last: int) -> bool:
    """Tell whether a match is one: whole where it must be, and not stitched from figures."""
    found = text[first:last]
    if form.capital and not found[0].isupper():
        return False
    if "\n" in found.strip() and len(form.folded) < ANYWHERE_LENGTH:
        return False
    if form.folded.isdigit() and len(form.folded) < ANYWHERE_LENGTH and not found.isdigit():
        return False
    if not form.whole_word:
        return True
    before, after = text[first - 1 : first], text[last : last + 1]
    kind = str.isdigit if form.folded.isdigit() else _is_latin
    return not (kind(before) or kind(after))


def _is_latin(char: str) -> bool:
    return char.isalnum() and not _CJK.match(char)


def _form(text: str, label: str, *, common: bool = False) -> Iterator[Form]:
    folded, _ = fold(text)
    cjk = bool(_CJK.search(folded))
    if len(folded) < (2 if cjk else 3) or folded in _GENERIC:
        return
    if cjk and vocabulary.is_known(folded):
        return
    common = common or folded in vocabulary.WORDS or len(folded) < 4
    whole = not cjk and len(folded) < ANYWHERE_LENGTH
    yield Form(folded, label, whole, capital=common and folded.isalpha() and not cjk)


def _name_forms(name: str) -> Iterator[Form]:
    parts = [part for part in re.split(r"[\s,，^=·•]+", name) if part]
    if len(parts) == 1 and _CJK.fullmatch(name[:1]) and 3 <= len(name) <= 4:
        parts = [name[: _family_length(name)], name[_family_length(name) :]]
    common = all(map(_is_common, parts))
    for group in {tuple(parts), tuple(reversed(parts))}:
        yield from _form("".join(group), NAME, common=common)
    for part in parts:
        if len(parts) == 1 or not _is_common(part):
            yield from _form(part, NAME)
    if _CJK.search(name):
        for romanised in _romanised(parts):
            yield from _form(romanised, NAME)


def _family_length(name: str) -> int:
    """Return how many characters of a Chinese name are the family's: two in four, else one."""
    return 2 if len(name) > 3 else 1


def _is_common(part: str) -> bool:
    """Tell whether a part of a name is a word of medicine: alone it would take that away."""
    return part.lower() in vocabulary.WORDS or part in vocabulary.WORDS_ZH


def _number_forms(number: str) -> Iterator[Form]:
    folded, _ = fold(number)
    if len(folded) < 4:
        return
    if any(map(str.isdigit, folded)):
        yield Form(folded, NUMBER, whole_word=len(folded) < ANYWHERE_LENGTH)
    else:
        yield from _form(number, NUMBER)
    digits = re.sub(r"\D", "", number)
    for prefix in ("0086", "86", "001", "1"):  # a number is also written without its country
        if number.lstrip().startswith(("+", "00")) and digits.startswith(prefix):
            rest = digits.removeprefix(prefix)
            if len(rest) >= 7:
                yield Form(rest, NUMBER, whole_word=len(rest) < ANYWHERE_LENGTH)
    if "@" in number:
        yield from _form(number.split("@")[0], NUMBER)


def _place_forms(place: str) -> Iterator[Form]:
    yield from _form(place, PLACE)
    if _CJK.search(place) and len(place) <= 12:
        for romanised in _romanised([place]):
            if len(romanised) >= 6:
                yield from _form(romanised, PLACE)


def _romanised(parts: list[str]) -> Iterator[str]:
    """Yield the pinyin of a Chinese name, whole in both orders, and of its given part."""
    whole = "".join(part for part in parts if _CJK.search(part))
    split = _family_length(whole)
    for syllables in _readings(whole):
        yield "".join(syllables)
        if len(whole) <= 4:
            yield "".join((*syllables[split:], *syllables[:split]))
            if len(given := "".join(syllables[split:])) > 3:
                yield given


def _readings(text: str) -> Iterator[tuple[str, ...]]:
    from pypinyin import Style, pinyin  # slow to import, and only Chinese names need it

    options = pinyin(text, style=Style.NORMAL, heteronym=len(text) <= 4, errors="ignore")
    for syllables in itertools.islice(itertools.product(*options), READINGS_MAX):
        yield syllables
        if any("v" in each or "ü" in each for each in syllables):
            yield tuple(each.replace("v", "u").replace("ü", "u") for each in syllables)
            yield tuple(each.replace("v", "yu").replace("ü", "yu") for each in syllables)


def _backwards(form: Form) -> Iterable[Form]:
    shortest = 2 if _CJK.search(form.folded) else 5
    if len(form.folded) < shortest or form.folded == form.folded[::-1]:
        return ()
    backwards = form.folded[::-1]
    if backwards in vocabulary.WORDS or backwards in vocabulary.WORDS_ZH:
        return ()
    return (Form(backwards, form.label, form.whole_word),)


NOTHING = KnownStrings()
"""No string is known."""
