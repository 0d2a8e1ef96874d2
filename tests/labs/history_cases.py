"""Parts of one patient over time, and a worker that keeps what it finds."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.event.v1.case_ref_pb2 import PART_KIND_LABS, CaseRef
from dxmesh.event.v1.part_ready_pb2 import PartReady
from dxmesh.event.v1.subject_forgotten_pb2 import SubjectForgotten
from dxmesh.labs.v1.lab_findings_pb2 import LabFindings, LabResult
from google.protobuf.timestamp_pb2 import Timestamp

from services.kernel import subjects
from services.kernel.blobs import Blobs
from services.kernel.testing import MemoryBus, memory_blobs
from services.labs import panel
from services.labs.findings import interpreted
from services.labs.history.document import Bounds
from services.labs.history.rows import Row
from services.labs.store import History
from services.labs.worker import LabsWorker

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
CREATININE, POTASSIUM, MCV = "14682-9", "2823-3", "787-2"
UNITS = {CREATININE: "umol/L", POTASSIUM: "mmol/L", MCV: "fL", "718-7": "g/L", "777-3": "10*9/L"}
BOUNDS = Bounds(24, 36_500)
SUBJECT = "S0123456789abcdef01234567"


def observation(code: str, value: object, hours: float = 0.0, **more: Any) -> dict[str, Any]:
    """Return an Observation of a LOINC code, `hours` after the start."""
    text = isinstance(value, str)
    kind = {"valueString": value} if text else {"valueQuantity": {"value": value}}
    if not text:
        kind["valueQuantity"] |= {"unit": UNITS.get(code, more.pop("unit", "1"))}
    return {
        "id": f"{code}-{hours:g}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "effectiveDateTime": (START + timedelta(hours=hours)).isoformat(),
        **kind,
        **more,
    }


@dataclass
class Ward:
    """A worker, its bus and its blobs; cases of one patient are sent to it."""

    blobs: Blobs = field(default_factory=memory_blobs)
    bus: MemoryBus = field(default_factory=MemoryBus)
    sent: int = 0

    async def start(self) -> Ward:
        await LabsWorker(self.bus, self.blobs, history=self.history()).start(1)
        return self

    def history(self) -> History:
        return History(self.blobs, BOUNDS)

    async def part(
        self,
        case_id: str,
        *observations: object,
        received_h: float = 0.0,
        subject: str = SUBJECT,
        keep: bool = True,
        sex: str = "male",
        age: int = 50,
    ) -> PartReady:
        """Store a part whose case came `received_h` hours after the start."""
        content = document(*observations, sex=sex, age=age)
        ref = await self.blobs.put("demo", case_id, "part", content)
        received = Timestamp()
        received.FromDatetime(START + timedelta(hours=received_h))
        return PartReady(
            case=CaseRef(tenant="demo", case_id=case_id, received_time=received),
            part_id="labs-1",
            kind=PART_KIND_LABS,
            blobs=[ref],
            subject_pseudonym=subject,
            keep_history=keep,
        )

    async def send(self, part: PartReady) -> LabFindings:
        """Hand a part to the worker and return what it found."""
        self.sent += 1
        await self.bus.publish(subjects.PART_LABS, part, message_id=f"m-{self.sent}")
        assert not self.bus.dead
        ref = BlobRef(scope=part.case.case_id, name="findings/labs-1")
        return LabFindings.FromString(await self.blobs.get("demo", ref))

    async def forget(self, hours: float, subject: str = SUBJECT) -> None:
        """Say that the patient withdrew `hours` after the start."""
        event = SubjectForgotten(tenant="demo", subject_pseudonym=subject)
        event.recorded_time.FromDatetime(START + timedelta(hours=hours))
        self.sent += 1
        await self.bus.publish(subjects.SUBJECT_FORGOTTEN, event, message_id=f"f-{self.sent}")


def earlier(found: LabFindings, number: int = 0) -> list[str]:
    """Return the earlier values of a result, the newest first."""
    return [each.value for each in found.results[number].earlier]


def document(*observations: object, sex: str = "male", age: int = 50) -> bytes:
    """Return a labs part's document."""
    subject = {"sex": sex, "age_years": age}
    return json.dumps({"subject": subject, "observations": observations}).encode()


def rows_of(*observations: object) -> list[Row]:
    """Return the rows that are kept of results."""
    return list(interpreted(panel.read(document(*observations))).keep.rows)


def of(found: LabFindings, observation_id: str) -> LabResult:
    """Return a result by its id."""
    return next(each for each in found.results if each.observation_id == observation_id)
