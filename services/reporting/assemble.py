"""From events to a draft, and from a draft to a report that no single part can prevent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from dxmesh.event.v1.case_deidentified_pb2 import CaseDeidentified, ExpectedPart
from dxmesh.event.v1.case_ref_pb2 import LANGUAGE_ZH
from dxmesh.event.v1.finding_ready_pb2 import (
    OUTCOME_COMPLETED,
    OUTCOME_DECLINED,
    OUTCOME_FAILED,
    FindingReady,
)
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import fhir
from services.reporting import joint
from services.reporting.compose import Composed, compose
from services.reporting.draft import Draft, Findings, Kind, Outcome, Part
from services.reporting.elements import Json
from services.reporting.outcomes import KINDS

OUTCOMES: Mapping[int, Outcome] = MappingProxyType(
    {
        OUTCOME_COMPLETED: Outcome.COMPLETED,
        OUTCOME_DECLINED: Outcome.DECLINED,
        OUTCOME_FAILED: Outcome.FAILED,
    }
)
UNREADABLE = Refusal(
    reason="UNREADABLE_FINDINGS", message="the result of the analysis cannot be read"
)
_TYPES: Mapping[Kind, type[Findings]] = MappingProxyType(
    {Kind.IMAGING: ImagingFindings, Kind.LABS: LabFindings, Kind.NOTES: NoteFindings}
)


@dataclass(frozen=True, slots=True)
class Safe(Composed):
    """A composed version, and why a part of it could not be used, by part id."""

    unusable: dict[str, str] = field(default_factory=dict)


def part(expected: ExpectedPart, event: FindingReady | None, content: bytes | None) -> Part:
    """Return a part from its event and the bytes of its findings; None: not there.

    Findings that are missing or cannot be decoded make a failed part, not an error.
    """
    kind = KINDS[expected.kind]
    if event is None:
        return Part(expected.part_id, kind, Outcome.AWAITED)
    made = Part(
        part_id=expected.part_id,
        kind=kind,
        outcome=OUTCOMES[event.outcome],
        refusal=event.refusal if event.HasField("refusal") else None,
        models=tuple(event.models),
        started=_instant(event.started_time),
        finished=_instant(event.finished_time),
    )
    if made.outcome is not Outcome.COMPLETED:
        return made
    try:
        return replace(made, findings=_TYPES[kind].FromString(content or b"\xff"))
    except DecodeError:
        return failed(made)


def failed(made: Part) -> Part:
    """Return a part whose findings cannot be used."""
    return replace(made, outcome=Outcome.FAILED, findings=None, refusal=UNREADABLE)


def draft(
    source: CaseDeidentified, parts: tuple[Part, ...], *, version: int, composed: datetime
) -> Draft:
    """Return the draft of a version."""
    case, ran = source.case, (_instant(source.started_time), _instant(source.finished_time))
    received = _instant(case.received_time) or composed
    return Draft(
        case_id=case.case_id,
        subject=source.subject_pseudonym,
        language="zh" if case.language == LANGUAGE_ZH else "en",
        version=version,
        received=received,
        due=_instant(case.due_time) or composed,
        composed=composed,
        parts=parts,
        set_aside=tuple(source.set_aside),
        deidentification=(ran[0], ran[1]) if ran[0] and ran[1] else None,
    )


def compose_what_can_be(whole: Draft) -> Safe:
    """Compose a version; a part that breaks it is reported as failed instead.

    Findings come from another service: whatever is wrong with them, the other parts must
    reach the physician. What is composed conforms to R4, or the part is left out.
    """
    unusable: dict[str, str] = {}
    parts = []
    for each in whole.parts:
        reason = _fault(replace(whole, parts=(each,))) if each.findings else ""
        if reason:
            unusable[each.part_id] = reason
        parts.append(failed(each) if reason else each)
    whole = replace(whole, parts=tuple(parts))
    made = _whole(whole, unusable)
    return Safe(
        bundle=made.bundle,
        joint=made.joint,
        images=made.images,
        objects=made.objects,
        missing_parts=made.missing_parts,
        findings=made.findings,
        unusable=unusable,
    )


def _whole(whole: Draft, unusable: dict[str, str]) -> Composed:
    """Compose all parts; what follows from them together must not keep them from the physician."""
    try:
        made = compose(whole)
        reason = _problems({"resourceType": "Bundle", "type": "collection", "entry": made.joint})
    except Exception as error:  # noqa: BLE001 - any fault of the rules must stay with them
        reason = type(error).__name__
    if reason:
        unusable[joint.PART_ID] = reason
        made = compose(whole, together=False)
    return made


def _fault(alone: Draft) -> str:
    """Return why a part alone makes no valid Bundle, without quoting its content."""
    try:
        return _problems(compose(alone, together=False).bundle)
    except Exception as error:  # noqa: BLE001 - any fault of one part must stay with that part
        return type(error).__name__


def _problems(bundle: Json) -> str:
    found = fhir.problems(fhir.parse(fhir.dump(bundle)))
    return "; ".join(f"{each.path}: {each.problem}" for each in found[:5])


def _instant(time: Timestamp) -> datetime | None:
    return time.ToDatetime(UTC) if time.seconds or time.nanos else None
