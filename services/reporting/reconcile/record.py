"""What the notes service found to exclude itself within the record."""

from __future__ import annotations

from collections.abc import Iterator

from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.reporting.draft import Draft
from services.reporting.elements import text
from services.reporting.reconcile.model import Compared, Severity, Sort
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Span

_HIGH = frozenset((notes.CONTRADICTION_KIND_SIDE, notes.CONTRADICTION_KIND_ALLERGY))
"""A wrong side or a lost allergy can do harm at once."""


def compare(draft: Draft, known: Known) -> Iterator[Compared]:
    """Yield the contradictions of the notes parts."""
    for part in draft.parts:
        if not isinstance(part.findings, notes.NoteFindings):
            continue
        for each in part.findings.contradictions:
            yield Compared(
                Sort.CONTRADICTION,
                f"{part.part_id}-{each.contradiction_id}",
                text(each.text_zh) or text(each.text_en),
                text(each.text_en) or text(each.text_zh),
                tuple(Span(part.part_id, s.note_id, s.start, s.end) for s in each.spans),
                known.places(part, *each.entity_ids),
                Severity.HIGH if each.kind in _HIGH else Severity.MODERATE,
            )
