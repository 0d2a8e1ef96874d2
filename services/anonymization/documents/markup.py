"""The text of HTML and XHTML.

Source: HTML Living Standard, 13.2 (parsing), 4.7 (edits).
"""

from __future__ import annotations

import html
import re

_BLOCK = re.compile(r"<\s*(?:br|/p|/div|/li|/h[1-6]|/tr|/dt|/dd|/caption)\b[^<>]*>", re.I)
_CELL = re.compile(r"<\s*/t[dh]\b[^<>]*>", re.I)
_TAG = re.compile(
    r"<(style|script|del|s|strike)(?=[\s/>])[^<>]*(?<!/)>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)"
    r"|<[a-z/!?][^<>]*>",
    re.S | re.I,
)
"""What is not text, or was struck out. "<3.5" is text: a tag begins with a letter. A comment,
style or script without an end reaches to the end of the text (13.2.5)."""


def plain(markup: str) -> str:
    """Return the text of HTML or XHTML; blocks end lines, cells of a table end with a tab."""
    return html.unescape(_TAG.sub("", _CELL.sub("\t", _BLOCK.sub("\n", markup))))
