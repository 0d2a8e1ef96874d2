"""Names made comparable (`kernel.naming`), and the pieces that brackets and scripts keep apart."""

from __future__ import annotations

import re
import unicodedata

from services.kernel.naming import fold as fold

_BRACKETS = re.compile(r"[()\[\]{}【】|;]")
_SCRIPTS = re.compile(r"[\u4e00-\u9fff]+|[^\u4e00-\u9fff]+")


def pieces(text: str) -> list[str]:
    """Return what brackets keep apart, `肌酐` and `CREA` of `肌酐(CREA)`."""
    plain = unicodedata.normalize("NFKC", text)
    return [piece for each in _BRACKETS.split(plain) if (piece := each.strip())]


def scripts(text: str) -> list[str]:
    """Return the Chinese and the other runs of a text, `白细胞` and `WBC` of `白细胞WBC`."""
    return [run for each in _SCRIPTS.findall(text) if (run := each.strip())]
