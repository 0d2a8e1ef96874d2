"""The words of cards in English and Chinese, from `words.tsv`, made safe for markdown. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~&:-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")


def _table() -> dict[str, dict[str, str]]:
    text = files("services.gateway.hooks").joinpath("words.tsv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    head, *rows = (line.split("\t") for line in lines)
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


_WORDS = _table()


def say(language: Language, key: str, **facts: object) -> str:
    """Return a text with its facts filled in."""
    return _WORDS[key][language].format(**facts)


def counted(language: Language, key: str, count: int, **facts: object) -> str:
    """Return the text for one or for many."""
    return say(language, f"{key}-{'one' if count == 1 else 'many'}", count=count, **facts)


def language_of(accept: str) -> Language:
    """Return the one of our languages that `Accept-Language` prefers; English when none is."""
    best: tuple[float, Language] = (0.0, "en")
    for part in accept[:1000].split(","):
        tag, _, rest = part.strip().partition(";")
        quality = _quality(rest)
        primary = tag.strip().lower().partition("-")[0]
        if primary in ("en", "zh") and quality > best[0]:
            best = (quality, "zh" if primary == "zh" else "en")
    return best[1]


def plain(text: str, chars_max: int = 80) -> str:
    """Return a record's text on one line, short, without characters that turn or hide text."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= chars_max else line[: chars_max - 1].rstrip() + "…"


def escaped(text: str) -> str:
    """Return text that GitHub-flavoured markdown shows as it is: no link, no image, no HTML."""
    return _MARKDOWN.sub(r"\\\1", text)


def moment(us: int) -> str:
    """Return a time in µs as people read it, UTC."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _quality(parameters: str) -> float:
    found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameters)
    return float(found[1]) if found else (0.0 if parameters.strip() else 1.0)
