"""What of an imaging part goes ahead of the report, as an event. Pure."""

from __future__ import annotations

import hashlib

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_IMAGING
from dxmesh.event.v1.critical_found_pb2 import CRITICAL_DIRECTION_PRESENT, CriticalFound
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings
from google.protobuf.timestamp_pb2 import Timestamp


def urgent(found: ImagingFindings) -> ImagingFindings:
    """Return what must be seen at once: findings, and answers that no finding stands for."""
    kept = ImagingFindings(findings=[each for each in found.findings if each.urgent])
    said = {(each.function, each.place.series_instance_uid) for each in kept.findings}
    for answer in found.answers:
        if answer.urgent and (answer.function, answer.series_instance_uid) not in said:
            kept.answers.append(answer)
    return kept


def event(part: PartReady, kept: ImagingFindings, ref: BlobRef, at: Timestamp) -> CriticalFound:
    """Return the event; without results too, for what was told may be undone.

    Parameters
    ----------
    kept : see `urgent`; it is what `ref` holds
    """
    made = CriticalFound(
        case=part.case,
        part_id=part.part_id,
        kind=PART_KIND_IMAGING,
        findings=ref,
        found_time=at,
    )
    ids = [each.finding_id for each in kept.findings]
    ids += [f"answer-{number}" for number in range(1, len(kept.answers) + 1)]
    for each in ids:
        made.results.add(result_id=each, direction=CRITICAL_DIRECTION_PRESENT)
    return made


def message_id(told: CriticalFound) -> str:
    """Return the id: the same results of the same findings are told once."""
    said = CriticalFound()
    said.CopyFrom(told)
    said.ClearField("found_time")
    digest = hashlib.sha256(said.SerializeToString(deterministic=True)).hexdigest()[:16]
    return f"{told.case.case_id}/{told.part_id}/critical/{digest}"
