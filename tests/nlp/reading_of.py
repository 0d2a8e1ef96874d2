"""What the rules say of a text, in a form tests can compare."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from services.nlp.details import Detail
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


@cache
def measure_context() -> ModuleType:
    """Return the script that measures what is said of single mentions."""
    path = Path(__file__).parents[2] / "training" / "nlp" / "measure_context.py"
    spec = importlib.util.spec_from_file_location("nlp_measure_context", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def the_text(text: str, place: Detail | None) -> str:
    """Return what a detail covers."""
    return text[place.start : place.end] if place else ""
