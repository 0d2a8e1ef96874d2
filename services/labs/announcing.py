"""What of a labs part goes ahead of the report, as an event. Pure."""

from __future__ import annotations

import hashlib

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS
from dxmesh.event.v1.critical_found_pb2 import (
    CRITICAL_DIRECTION_HIGH,
    CRITICAL_DIRECTION_LOW,
    CriticalFound,
    CriticalResult,
)
from dxmesh.event.v1.part_ready_pb2 import PartReady
from google.protobuf.timestamp_pb2 import Timestamp

from services.labs.findings import Interpreted
from services.labs.interpret import show
from services.labs.notices import Notice


def event(part: PartReady, found: Interpreted, ref: BlobRef, at: Timestamp) -> CriticalFound:
    """Return what is critical of a part; without results too, for what was told may be undone.

    Parameters
    ----------
    ref : where the findings are
    """
    return CriticalFound(
        case=part.case,
        part_id=part.part_id,
        kind=PART_KIND_LABS,
        findings=ref,
        results=[_result(each) for each in found.notices],
        retracted_ids=found.retracted,
        found_time=at,
    )


def message_id(told: CriticalFound) -> str:
    """Return the id: the same results of the same findings are told once."""
    said = CriticalFound()
    said.CopyFrom(told)
    said.ClearField("found_time")
    digest = hashlib.sha256(said.SerializeToString(deterministic=True)).hexdigest()[:16]
    return f"{told.case.case_id}/{told.part_id}/critical/{digest}"


def _result(notice: Notice) -> CriticalResult:
    analyte = notice.result.analyte
    return CriticalResult(
        result_id=notice.result.measured.observation_id,
        direction=CRITICAL_DIRECTION_HIGH if notice.high else CRITICAL_DIRECTION_LOW,
        limit=show(notice.limit, len(notice.limit.as_tuple().digits)),
        limit_unit=analyte.unit.ucum if analyte else "",
        limit_source=notice.source,
    )
