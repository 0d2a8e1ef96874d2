"""docs/requirements.md and the tests agree: each requirement is shown, each mark is listed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LISTED = re.compile(r"^\| (DX-[A-Z]+-\d+) \| (.+) \|$", re.MULTILINE)
SHOWN = re.compile(r'requirement\("(DX-[A-Z]+-\d+)"\)')


def shown() -> set[str]:
    """Return the ids that tests are marked with."""
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {found for text in texts for found in SHOWN.findall(text)}


def listed() -> list[tuple[str, str]]:
    """Return id and text of every row."""
    return LISTED.findall((ROOT / "docs" / "requirements.md").read_text("utf-8"))


def test_every_requirement_is_shown_by_a_test_and_every_mark_is_listed() -> None:
    ids = {identifier for identifier, _ in listed()}
    assert shown() - ids == set(), "marks that docs/requirements.md does not list"
    assert ids - shown() == set(), "requirements that no test shows"


def test_no_id_is_used_twice_and_every_row_says_something() -> None:
    ids = [identifier for identifier, _ in listed()]
    assert sorted(ids) == sorted(set(ids))
    assert all(len(text) > 20 for _, text in listed())
