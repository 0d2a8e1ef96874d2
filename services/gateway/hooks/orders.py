"""What an order asks to have examined, from `orders.tsv`. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

Json = Mapping[str, Any]

TEXT_CHARS_MAX = 500


@dataclass(frozen=True, slots=True)
class Examination:
    """A kind of examination."""

    kind: str
    analysed: bool
    """Whether the mesh can analyse it."""


def _rows() -> list[dict[str, str]]:
    text = files("services.gateway.hooks").joinpath("orders.tsv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


_ROWS = _rows()
KINDS = {row["kind"]: Examination(row["kind"], row["analysed"] == "yes") for row in _ROWS}
_CODES = {(r["system"], r["code"]): KINDS[r["kind"]] for r in _ROWS if r["code"]}
_WORDS = [(KINDS[row["kind"]], row["words"].split(" & ")) for row in _ROWS if row["words"]]


def examination(order: Json) -> Examination | None:
    """Return what a ServiceRequest asks for; None: nothing the table knows.

    A coding decides; only an order without one that is known is read by its words.
    """
    code = order.get("code")
    if not isinstance(code, Mapping):
        return None
    codings = code.get("coding", [])
    known = [c for c in codings if isinstance(c, Mapping)] if isinstance(codings, list) else []
    for coding in known:
        if found := _CODES.get((str(coding.get("system")), str(coding.get("code")))):
            return found
    return _by_words([code.get("text"), *(c.get("display") for c in known)])


def _by_words(texts: Sequence[Any]) -> Examination | None:
    told = " ".join(text for text in texts if isinstance(text, str))[:TEXT_CHARS_MAX].lower()
    for kind, groups in _WORDS:
        if all(any(_has(told, word) for word in group.split("|")) for group in groups):
            return kind
    return None


def _has(text: str, word: str) -> bool:
    """Tell whether a word is in a text: as a word where the script has spaces."""
    if not word.isascii():
        return word in text
    return re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", text) is not None
