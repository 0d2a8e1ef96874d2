"""What a name in a note stands for: problems, medications and allergens, from the tables.

A name in capitals (COPD) is matched in capitals only. A name that begins with `!` denies by
itself ("afebrile", "NKDA"). `~` in a Chinese name stands for words that deny ("淋巴结~肿大" finds
"淋巴结未触及肿大").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from services.nlp import tables
from services.nlp.phrases import Phrases
from services.nlp.tokens import is_han


class Kind(Enum):
    """What is mentioned."""

    __hash__ = object.__hash__  # members are single; the hash of their names is slow

    PROBLEM = "problem"
    MEDICATION = "medication"
    ALLERGY = "allergy"
    PROCEDURE = "procedure"


@dataclass(frozen=True, slots=True)
class Term:
    """One concept with its names for display."""

    kind: Kind
    en: str
    zh: str
    code: str = ""
    """HPO id, for example HP:0012735; empty where the name is not exactly that term."""
    use: str = ""
    """history: counts in past, personal and family history alone; chronic: a "history of" it
    does not mean that it is over."""


@dataclass(frozen=True, slots=True)
class Name:
    """A written name of a term."""

    term: Term | None
    """None: the name only looks like one ("flu vaccine", 癌胚抗原)."""
    capitals: bool = False
    denies: bool = False

    def fits(self, written: str) -> bool:
        """Tell whether the name may be written so."""
        return not self.capitals or written.removesuffix("s").isupper()


DENYING = tuple(
    first + second
    for first in ("未触及", "未扪及", "未及", "未见", "未查及", "无", "未发现", "不")
    for second in ("", "明显", "异常", "确切")
)
BRITISH = (
    ("emia", "aemia"), ("hem", "haem"), ("edema", "oedema"), ("esoph", "oesoph"),
    ("rrhea", "rrhoea"), ("tumor", "tumour"), ("pnea", "pnoea"),
)  # fmt: skip


def _load(table: str, kind: Kind) -> Iterator[tuple[str, Name]]:
    for row in tables.rows(table):
        term = Term(kind, row["en"], row["zh"], row.get("code", ""), row.get("use", ""))
        names = [row["en"], row["zh"]]
        names += tables.names(row.get("names_en", "")) + tables.names(row.get("names_zh", ""))
        if kind is Kind.MEDICATION:
            names += [each for name in names for each in _joined(name)]
        for name in names:
            yield from _names(name.removeprefix("!"), term, denies=name.startswith("!"))


def _joined(name: str) -> Iterator[str]:
    """Yield how else a combination is written: "A/B" as "A-B", and with B first."""
    parts = name.split("/")
    if name.isascii() and len(parts) == len(("A", "B")):
        first, second = parts
        yield from (f"{first}-{second}", f"{second}/{first}", f"{second}-{first}")


def _names(name: str, term: Term, *, denies: bool) -> Iterator[tuple[str, Name]]:
    capitals = name.isupper() and name.isascii() and len(name) <= 6
    if "~" in name:
        for word in DENYING:
            yield name.replace("~", word), Name(term, denies=True)
        yield name.replace("~", ""), Name(term)
        return
    yield name, Name(term, capitals, denies)
    if not name or is_han(name[0]) or is_han(name[-1]):
        return
    variants = {name.lower()}
    for american, british in BRITISH:
        variants |= {each.replace(american, british) for each in variants}
    for variant in sorted(variants):
        yield variant, Name(term, capitals, denies)
        if variant[-1].isalpha() and variant[-1] != "s":
            yield variant + "s", Name(term, capitals, denies)


_MEDICATIONS = list(_load("medications", Kind.MEDICATION))
DECOYS = [(row["name"], Name(None)) for row in tables.rows("decoys")]
PROBLEMS_AND_MEDICATIONS: Phrases[Name] = Phrases(
    (
        *DECOYS,
        *_load("problems", Kind.PROBLEM),
        *_load("hpo", Kind.PROBLEM),
        *_MEDICATIONS,
    )
)
ALLERGENS: Phrases[Name] = Phrases((*_load("allergens", Kind.ALLERGY), *_MEDICATIONS))
"""Sought only where the note speaks of allergy: "egg" is no finding elsewhere."""
