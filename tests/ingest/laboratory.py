"""A laboratory that sends messages of one order, for the tests of corrections."""

from __future__ import annotations

from typing import Any

from dxmesh.event.v1.case_received_pb2 import CaseReceived

from services.ingest.hl7v2 import senders
from services.ingest.mllp.receiving import Receiver
from services.kernel import subjects
from tests.ingest.oru import msh, oru

TABLE = '[[sender]]\napplication = "LIS"\ntenant = "demo"\n'


def obx(value: str, status: str = "F", sub: str = "", time: str = "20261126090500") -> str:
    return f"OBX|1|NM|2823-3^Potassium^LN|{sub}|{value}|mmol/L|||||{status}|||{time}"


class Laboratory:
    """Sends messages of one order, each under a new control id."""

    def __init__(self, world: Any) -> None:
        self.world = world
        known = senders.read(TABLE)
        self.receiver = Receiver(
            world.admission, known, world.blobs.vault.hasher, lambda: world.time,
            entries_max=500, at_once=8,
        )  # fmt: skip
        self.sent = 0

    async def send(self, *results: str, **how: str) -> CaseReceived:
        """Send a message; return the event of its case."""
        self.sent += 1
        content = oru(*results, head=msh(f"M{self.sent}"), **how)
        answer = await self.receiver.answer(content.encode(), "127.0.0.1")
        assert b"MSA|AA" in answer
        event: CaseReceived = self.world.bus.published(subjects.CASE_RECEIVED)[-1]
        return event


def told(event: CaseReceived) -> list[tuple[str, str, int]]:
    return [(e.earlier_case_id, e.later_case_id, e.kind) for e in event.corrections]
