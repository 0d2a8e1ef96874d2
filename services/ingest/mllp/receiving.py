"""One message into a case, and its answer; knows nothing of connections."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from dxmesh.ingest.v1.ingest_service_pb2 import SubmitCaseResponse

from services.ingest.hl7v2 import acknowledgement, message
from services.ingest.hl7v2 import header as headers
from services.ingest.hl7v2.acknowledgement import ACCEPTED, FAILED, REFUSED, WARNING, Told
from services.ingest.hl7v2.asides import Place
from services.ingest.hl7v2.convert import Names
from services.ingest.hl7v2.header import Header
from services.ingest.hl7v2.refusal import (
    DUPLICATE_KEY,
    INTERNAL,
    TOO_LONG,
    UNKNOWN_KEY,
    NotTaken,
)
from services.ingest.hl7v2.senders import Sender, Senders
from services.ingest.results import Results
from services.kernel import telemetry
from services.kernel.errors import Forbidden, InvalidInput, MeshError, TooLarge

log = logging.getLogger(__name__)

MSH, PID = Place("MSH"), Place("PID", 1, 3)
_OF_THE_MESSAGE = frozenset((InvalidInput.grpc_status, TooLarge.grpc_status, Forbidden.grpc_status))
"""Statuses that stay as long as the message does."""
_PLACES = {
    "CONTROL_ID_REUSED": (Place("MSH", 1, 10), DUPLICATE_KEY),
    "MESSAGE_TOO_LARGE": (MSH, TOO_LONG),
}


class Admits(Protocol):
    """What is needed of `admission.Admission`."""

    async def submit(
        self, tenant: str, content: bytes, results: Results | None = None
    ) -> SubmitCaseResponse:
        """Return the case a Bundle makes."""


class SenderUnknown(NotTaken):
    """Nobody by this name may send from there."""

    def __init__(self) -> None:
        super().__init__(
            "MSH-3 and MSH-4 name no system that may send from this address, or with this "
            "certificate; ask the operator",
            reason="SENDER_UNKNOWN",
            code=UNKNOWN_KEY,
            place=Place("MSH", 1, 3),
        )


class Receiver:
    """Takes messages of known senders."""

    def __init__(
        self,
        admission: Admits,
        senders: Senders,
        hasher_for: Callable[[str], Awaitable[Names]],
        now: Callable[[], datetime],
        *,
        entries_max: int,
        at_once: int,
    ) -> None:
        self._admission = admission
        self._senders = senders
        self._hasher_for = hasher_for
        self._now = now
        self._entries_max = entries_max
        self._free = asyncio.Semaphore(at_once)

    def knows(self, address: str) -> bool:
        """Tell whether any sender may call from an address."""
        return self._senders.is_anyone(address)

    async def answer(
        self, content: bytes, address: str, certified: frozenset[str] = frozenset()
    ) -> bytes:
        """Return the answer to a message; empty when it is one that is not answered.

        Positive only when the case, its event and the original are kept for good.

        Parameters
        ----------
        certified : names in the certificate that the sender showed, lower case
        """
        header = headers.of(content)
        if header.kind == "ACK":  # answers are not answered
            return b""
        try:
            sender = self._sender(header, content, address, certified)
            accepted = await self._taken(sender, content)
        except MeshError as error:
            return self._refusal(header, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the sender tries again
            log.error("a message was not kept: %s", telemetry.frames(error))
            telemetry.failure("ingest.mllp", type(error).__name__)
            text = "the message could not be kept; send it again"
            told = Told(MSH, INTERNAL, "NOT_KEPT", text)
            return self._build(header, FAILED, [told])
        return self._build(header, ACCEPTED, _warnings(accepted))

    def too_large(self, beginning: bytes, error: TooLarge) -> bytes:
        """Return the answer to a message of which only the beginning was read."""
        return self._refusal(headers.of(beginning), error)

    async def _taken(self, sender: Sender, content: bytes) -> SubmitCaseResponse:
        async with self._free:
            with telemetry.step("ingest.mllp"):
                names = await self._hasher_for(sender.tenant)
                made = await asyncio.to_thread(
                    message.results, content, sender.site, names, self._now(), self._entries_max
                )
                return await self._admission.submit(sender.tenant, made.bundle, made)

    def _sender(
        self, header: Header, content: bytes, address: str, certified: frozenset[str]
    ) -> Sender:
        if not header.kind:
            message.check(header, content)  # says more exactly what is wrong
        found = self._senders.find(header.application, header.facility)
        if found and found.may_call_from(address) and found.may_show(certified):
            return found
        raise SenderUnknown

    def _refusal(self, header: Header, error: MeshError) -> bytes:
        """Return AR where the message must change, else AE: a fault of ours is none of its."""
        passing = error.retry_after_s is not None or error.grpc_status not in _OF_THE_MESSAGE
        log.warning("a message was not taken: %s", error.reason)
        telemetry.failure("ingest.mllp", error.reason)
        place, code = _PLACES.get(error.reason, (MSH, INTERNAL))
        if isinstance(error, NotTaken):
            place, code = error.place, error.code
        elif error.grpc_status == "PERMISSION_DENIED":
            place, code = PID, UNKNOWN_KEY
        told = [Told(place, code, error.reason, error.message)]
        return self._build(header, FAILED if passing else REFUSED, told)

    def _build(self, header: Header, verdict: str, told: list[Told]) -> bytes:
        own_id = uuid.uuid4().hex[:20]
        return acknowledgement.build(header, verdict, told, own_id, self._now())


def _warnings(accepted: SubmitCaseResponse) -> list[Told]:
    """Return what of an accepted message was not taken over, or not as it came."""
    return [
        Told(_place(each.source), 0, each.reason, each.message, WARNING)
        for each in accepted.problems
    ]


def _place(source: str) -> Place:
    """Return the place that a problem names, as `OBX[3]-5 and 2 more`."""
    segment, _, rest = source.partition(" ")[0].partition("[")
    number, _, field = rest.partition("]")
    return Place(
        segment[:3].upper() if rest else "MSH",
        int(number) if number.isdigit() else 1,
        int(field[1:]) if field[1:].isdigit() else 0,
    )
