"""One instance from a C-STORE into the intake, and what of it a storage commitment can promise."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from services.ingest import dicom
from services.ingest.store import Intake
from services.ingest.store.keeping import Arrived
from services.kernel import telemetry
from services.kernel.errors import InvalidInput, TooLarge


@dataclass(frozen=True, slots=True)
class Named:
    """An instance as a request names it."""

    sop_class: str
    sop_instance: str


class Receiver:
    """Keeps what devices send; knows nothing of associations."""

    def __init__(self, intake: Intake, *, bytes_max: int, at_once: int) -> None:
        self._intake = intake
        self._bytes_max = bytes_max
        self._free = asyncio.Semaphore(at_once)

    async def keep(self, tenant: str, named: Named, content: bytes) -> None:
        """Keep an instance: a DICOM file of the bytes as they were sent.

        Raises
        ------
        UnusableInstance, OtherContent, TooLarge
        InvalidInput
            DOES_NOT_MATCH: the data set is another instance than the request names.
        Unavailable
            A store is away; the sender may send it again.
        """
        if len(content) > self._bytes_max:
            raise TooLarge(
                f"the instance is over {self._bytes_max} bytes", reason="INSTANCE_TOO_LARGE"
            )
        async with self._free:
            with telemetry.step("ingest.store"):
                header, sha256 = await asyncio.to_thread(_read, content)
                if named != Named(header.sop_class, header.sop_instance):
                    raise InvalidInput(
                        "the data set is another instance than the request names",
                        reason="DOES_NOT_MATCH",
                    )
                await self._intake.keep(tenant, Arrived(header, sha256, content))

    async def held(self, tenant: str, named: Iterable[Named]) -> set[str]:
        """Return the SOP instance UIDs that are here and can be read."""
        return {
            each.sop_instance
            for each in named
            if await self._intake.holds(tenant, each.sop_instance)
        }


def _read(content: bytes) -> tuple[dicom.Header, str]:
    return dicom.read_bytes(content), hashlib.sha256(content).hexdigest()
