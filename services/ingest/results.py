"""Results that arrived in another form than FHIR, as the submission they make. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

HL7V2, CSV = "application/hl7-v2", "text/csv"


@dataclass(frozen=True, slots=True)
class Results:
    """A submission made of a message or of rows."""

    bundle: bytes
    """FHIR Bundle, JSON; without a Consent: what the patient agreed to is known already."""
    original: bytes
    """What arrived, byte for byte: it is kept as evidence."""
    media_type: str
    digest: str
    """SHA-256 of what it says: the same when it is sent again."""
    name: tuple[str, ...]
    """What its sender calls it, whoever the patient is; empty: nothing."""
    problems: Sequence[IntakeProblem] = ()
    """What of it was not taken, or not as it came."""
