"""Places in a text to replace, merged and applied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PLACEHOLDERS = {
    "NAME": "[姓名]",
    "ID": "[编号]",
    "PHONE": "[电话]",
    "EMAIL": "[邮箱]",
    "URL": "[网址]",
    "ADDRESS": "[地址]",
    "ORG": "[机构]",
    "DATE": "[日期]",
}
"""Label to what a Chinese text shows; an English one shows the label itself."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One place: where it is, what it is, and what stands there afterwards."""

    start: int
    end: int
    label: str
    replacement: str | None = None
    """None: the placeholder of the label."""


def apply(text: str, edits: Iterable[Edit], language: str) -> tuple[str, int]:
    """Return the text with every edit made, and how many places were replaced.

    Overlapping edits become one placeholder over all of them; the longest names it.
    """
    parts: list[str] = []
    at = count = 0
    for edit in merged(edits):
        parts += [text[at : edit.start], shown(edit, language)]
        at = edit.end
        count += 1
    return "".join([*parts, text[at:]]), count


def shown(edit: Edit, language: str) -> str:
    """Return what stands in the place of an edit."""
    if edit.replacement is not None:
        return edit.replacement
    return PLACEHOLDERS[edit.label] if language == "zh" else f"[{edit.label}]"


def merged(edits: Iterable[Edit]) -> list[Edit]:
    """Return edits that do not overlap, in order."""
    found: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, -edit.end)):
        if edit.start >= edit.end:
            continue
        if not found or edit.start >= found[-1].end:
            found.append(edit)
            continue
        last = found[-1]
        inside = edit.end <= last.end
        if inside and (last.replacement is None or edit.label == last.label):
            continue
        longest = max(
            last, edit, key=lambda each: (each.replacement is None, each.end - each.start)
        )
        found[-1] = Edit(last.start, max(last.end, edit.end), longest.label)
    return found
