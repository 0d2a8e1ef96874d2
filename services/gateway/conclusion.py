"""The conclusion as people read it: each line's lead apart from what it says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAD_CHARS_MAX = 24
"""A longer run of words before a colon is a sentence and no lead."""
_LEAD = re.compile(
    rf"(【[^】]{{1,{LEAD_CHARS_MAX}}}】|\[[^\]]{{1,{LEAD_CHARS_MAX}}}\]"
    rf"|[^.,;:。，；：\[【“\"]{{1,{LEAD_CHARS_MAX}}}(?::(?= |$)|：))\s*"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the conclusion; `lead` and `rest` make it up, but for spaces between them."""

    lead: str
    """What the line is about, with colon or brackets: `Laboratory:`, `【检验】`; or empty."""
    rest: str


def lines_of(conclusion: str) -> list[Line]:
    """Return the lines that say something, in their order."""
    return [_line(line.strip()) for line in conclusion.splitlines() if line.strip()]


def _line(line: str) -> Line:
    found = _LEAD.match(line)
    return Line(found[1], line[found.end() :]) if found else Line("", line)
