"""Every word of the pages, in each language. Pure after import: tables are read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files

LANGUAGES = ("zh", "en")
DEFAULT = "en"


def _load(language: str) -> dict[str, str]:
    path = files(__package__) / "translations" / f"{language}.json"
    return dict(json.loads(path.read_text("utf-8")))


TABLES: Mapping[str, Mapping[str, str]] = {language: _load(language) for language in LANGUAGES}


class Words:
    """One language's words; a template writes `{{ t("key") }}`."""

    def __init__(self, language: str) -> None:
        self.language = language if language in LANGUAGES else DEFAULT
        self._table = TABLES[self.language]

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of a key, with `{name}` places filled."""
        return self._table[key].format(**values)

    def either(self, prefix: str, code: str) -> str:
        """Return the text of `prefix.code`, or the code itself where no word is known for it."""
        return self._table.get(f"{prefix}.{code}", code.replace("_", " ").replace("-", " "))

    @property
    def tag(self) -> str:
        """Language tag for `lang`."""
        return "zh-CN" if self.language == "zh" else "en"


def choose(cookie: str | None, accept_language: str) -> str:
    """Return the language of a page: the one chosen, else the browser's first that is known."""
    if cookie in LANGUAGES:
        return str(cookie)
    for part in accept_language.lower().split(","):
        tag = part.partition(";")[0].strip().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return DEFAULT
