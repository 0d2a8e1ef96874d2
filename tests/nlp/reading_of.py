"""What the rules say of a text, in a form tests can compare."""

from __future__ import annotations

from services.nlp.notes import Note
from services.nlp.reading import Mention, read

MARKS = {"affirmed": "+", "negated": "-", "uncertain": "?"}


def mentions(text: str, language: str = "en") -> tuple[Mention, ...]:
    """Return the mentions in a note."""
    return read(Note("note-1", language, text)).mentions


def said(text: str) -> dict[str, str]:
    """Return for each mention as written: + affirmed, - denied, ? suspected.

    Behind it `h` when it is over, `o` when it is about somebody else. Of a name that stands
    more than once, the last counts.
    """
    return {
        each.written: MARKS[each.said.certainty.value]
        + ("h" if each.said.historical else "")
        + ("o" if each.said.other_person else "")
        for each in mentions(text)
    }
