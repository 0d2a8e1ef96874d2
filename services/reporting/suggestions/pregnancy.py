"""Whether a case is that of a pregnant woman: by weeks in her notes, or by rules of pregnancy."""

from __future__ import annotations

from dxmesh.labs.v1 import lab_findings_pb2 as labs
from dxmesh.nlp.v1 import note_findings_pb2 as notes

from services.reporting.elements import text
from services.reporting.suggestions.known import Known
from services.reporting.suggestions.model import Fact, Facts, Span

PREGNANT = "person:pregnant"
WEEKS = "18185-9"
"""LOINC, gestational age. Of a newborn it is told too, so her age must be known."""
AGE_MIN = 12
TOPIC = "pregnancy"
NOT_ITS_OWN = frozenset({"pregnancy-possible"})
"""Rules of that topic that ask of anybody; all others hold in pregnancy alone."""


def told(known: Known, facts: Facts) -> None:
    """Add that the person is pregnant, where a part says so and no mention did."""
    if PREGNANT in facts.by_key or "person:M" in facts.by_key:
        return
    age = facts.number("person:age")
    for part in known.draft.parts:
        match part.findings:
            case notes.NoteFindings() if age is not None and age >= AGE_MIN:
                for each in part.findings.measurements:
                    if each.loinc != WEEKS or each.other_person or each.historical:
                        continue
                    span = Span(part.part_id, each.span.note_id, each.span.start, each.span.end)
                    written = text(each.text)
                    facts.add(Fact(PREGNANT, written, written, spans=(span,)))
                    return
            case labs.LabFindings():
                own = [r for r in part.findings.risks if r.topic == TOPIC]
                for risk in (each for each in own if each.risk_id not in NOT_ITS_OWN):
                    places = known.places(part, f"risk-{risk.risk_id}")
                    facts.add(Fact(PREGNANT, "妊娠", "pregnant", places=places))
                    return
