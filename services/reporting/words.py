"""The report's words in Chinese and English, from `data/words*.tsv` and `data/reasons*.tsv`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dxmesh.event.v1.refusal_pb2 import Refusal

from services.reporting import tables
from services.reporting.elements import text

Language = Literal["zh", "en"]
TAGS: dict[Language, str] = {"zh": "zh-CN", "en": "en"}
"""BCP 47 tags of the report's languages."""

_WORDS = {row["key"]: row for row in tables.rows("words")}
_REASONS = {row["reason"]: row for row in tables.rows("reasons")}
_LIST_MARK: dict[Language, str] = {"zh": "、", "en": ", "}
FACT_CHARS_MAX = 120
_LIMITS = {"_min": "≥ ", "_max": "≤ "}
_UNITS = {
    **{"mm": " mm", "cm2": " cm²", "mm2": " mm²", "um": " µm", "hu": " HU", "ml": " ml"},
    **{"degrees": "°", "years": "", "s": " s", "px": " px"},
}
"""How the names of facts end, and how people write it."""


def say(language: Language, key: str, **facts: object) -> str:
    """Return a sentence or term with its facts filled in.

    Raises
    ------
    KeyError
        No such key, or a fact is missing: a mistake in this service, never in its input.
    """
    return _WORDS[key][language].format(**facts)


def has(key: str) -> bool:
    """Tell whether the table of words has a key."""
    return key in _WORDS


def term(language: Language, key: str) -> str:
    """Return a term; of one that nobody has put into words the name itself.

    Names of findings, measures and qualities come from other services: a new one must not
    keep the rest from the physician.
    """
    if row := _WORDS.get(key):
        return row[language]
    return key.partition("-")[2].replace("-", " ") or key


def stated(language: Language, key: str, facts: Mapping[str, str]) -> str:
    """Return a sentence that another service chose, with its facts; see `term`."""
    given = {name: text(value)[:FACT_CHARS_MAX] for name, value in facts.items()}
    row = _WORDS.get(key)
    if row:
        try:
            return row[language].format(**given)
        except (KeyError, IndexError, ValueError):  # a fact is missing, or a brace is wrong
            pass
    shown = _facts(language, given)
    name = key.replace("-", " ")
    return say(language, "with-facts", words=name, facts=shown) if shown else name


def listed(language: Language, items: list[str]) -> str:
    """Return items as the language lists them."""
    return _LIST_MARK[language].join(items)


def why(language: Language, refusal: Refusal) -> str:
    """Return a refusal in words, with the numbers that show it.

    A reason that the table does not know is shown in the words it came with.
    """
    row = _REASONS.get(refusal.reason)
    words = row[language] if row else text(refusal.message) or refusal.reason
    facts = _facts(language, refusal.facts)
    if not facts:
        return words
    return say(language, "with-facts", words=words.rstrip("。."), facts=facts)


def _facts(language: Language, facts: Mapping[str, str]) -> str:
    shown = [_fact(language, name, text(facts[name])[:FACT_CHARS_MAX]) for name in sorted(facts)]
    return listed(language, shown)


def _fact(language: Language, name: str, value: str) -> str:
    """Return a number as people write it: `largest_brain_cm2` 149.85 as "… 149.85 cm²"."""
    stem, limit = name, ""
    for ending, sign in _LIMITS.items():
        if stem.endswith(ending):
            stem, limit = stem.removesuffix(ending), sign
    stem, _, unit = stem.rpartition("_") if stem.rpartition("_")[2] in _UNITS else (stem, "", "")
    row = _WORDS.get(f"fact-{stem}")
    words = row[language] if row else stem.replace("_", " ")
    written = say(language, "unit-a") if unit == "years" else _UNITS.get(unit, "")
    return f"{words} {limit}{value}{written}"
