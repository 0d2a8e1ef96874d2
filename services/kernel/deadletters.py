"""Dead letters: messages that were given up, listed, shown and put back by an operator."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from nats.js.errors import NotFoundError

from services.kernel.bus import Bus
from services.kernel.errors import NotFound
from services.kernel.subjects import DEAD_STREAM, TOPICS, Topic


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was given up."""

    sequence: int
    tenant: str
    case_id: str
    service: str
    subject: str
    reason: str
    error: str
    message_id: str
    time: str
    event: dict[str, object]
    """The event as protobuf JSON; empty when it does not parse."""


class DeadLetters:
    """The dead-letter stream as an operator sees it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._js = bus.nats.jetstream(timeout=5.0)

    async def list(self, tenant: str) -> list[DeadLetter]:
        """Return a tenant's dead letters, oldest first."""
        return [letter async for letter, _ in self._walk() if letter.tenant == tenant]

    async def show(self, tenant: str, sequence: int) -> DeadLetter:
        """Return one.

        Raises
        ------
        NotFound
        """
        return (await self._get(tenant, sequence))[0]

    async def retry(self, tenant: str, sequence: int) -> DeadLetter:
        """Put the message back on its subject for the service that gave it up.

        Every consumer of the subject sees it again; handlers are idempotent by key.
        """
        letter, payload = await self._get(tenant, sequence)
        headers = {
            "Nats-Msg-Id": f"{letter.message_id}/retry-{sequence}",
            "Dx-Tenant": letter.tenant,
            "Dx-Case": letter.case_id,
            "Dx-Retry": str(sequence),
        }
        await self._bus.store(letter.subject, payload, headers)
        await self._js.delete_msg(DEAD_STREAM, sequence)
        return letter

    async def _get(self, tenant: str, sequence: int) -> tuple[DeadLetter, bytes]:
        async for letter, payload in self._walk(start=sequence):
            if letter.sequence == sequence and letter.tenant == tenant:
                return letter, payload
            break
        raise NotFound(f"there is no dead letter {sequence}; `dxmesh dead list` names them")

    async def _walk(self, start: int = 1) -> AsyncIterator[tuple[DeadLetter, bytes]]:
        state = (await self._js.stream_info(DEAD_STREAM)).state
        for sequence in range(max(start, state.first_seq), state.last_seq + 1):
            try:
                raw = await self._js.get_msg(DEAD_STREAM, sequence)
            except NotFoundError:
                continue
            payload = raw.data or b""
            yield _letter(sequence, raw.headers or {}, payload, str(raw.time or "")), payload


def _letter(sequence: int, headers: dict[str, str], payload: bytes, time: str) -> DeadLetter:
    subject = headers.get("Dx-Subject", "")
    return DeadLetter(
        sequence=sequence,
        tenant=headers.get("Dx-Tenant", ""),
        case_id=headers.get("Dx-Case", ""),
        service=headers.get("Dx-Service", ""),
        subject=subject,
        reason=headers.get("Dx-Reason", ""),
        error=headers.get("Dx-Error", ""),
        message_id=headers.get("Dx-Message-Id", ""),
        time=time,
        event=_event(subject, payload),
    )


def _event(subject: str, payload: bytes) -> dict[str, object]:
    topic = _topic(subject)
    if topic is None:
        return {"base64": base64.b64encode(payload).decode()}
    event = topic.event()
    try:
        event.ParseFromString(payload)
    except DecodeError:
        return {}
    return dict(json_format.MessageToDict(event))


def _topic(subject: str) -> Topic | None:
    rest = ".".join(subject.split(".")[3:])
    for topic in TOPICS:
        if rest == topic.name or rest.startswith(f"{topic.name}."):
            return topic
    return None
