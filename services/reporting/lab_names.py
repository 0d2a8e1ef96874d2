"""What a laboratory result is called."""

from __future__ import annotations

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.reporting.draft import Draft
from services.reporting.elements import text
from services.reporting.words import say


def name_of(draft: Draft, result: pb.LabResult) -> str:
    """Return a result's name in the report's language, else as it came."""
    own = result.display_zh if draft.language == "zh" else result.display_en
    return (
        text(own)
        or text(result.source_display)
        or say(draft.language, "unnamed-result", id=result.loinc_code or result.observation_id)
    )
