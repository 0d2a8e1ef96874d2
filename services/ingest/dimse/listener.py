"""The listener: associations in threads of pynetdicom's, work in the service's event loop.

Source: DICOM PS3.8 (upper layer), PS3.7 9.1 (C-STORE, C-ECHO), PS3.15 B.1 (TLS).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    _config,
    evt,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import
    StorageCommitmentPushModel,
    Verification,
)

from services.ingest.dimse import commitment, devices, statuses, tls
from services.ingest.dimse.devices import Device, Devices
from services.ingest.dimse.receiving import Named, Receiver
from services.ingest.settings import Settings
from services.ingest.store import Intake
from services.kernel import telemetry
from services.kernel.errors import MeshError, Unavailable
from services.kernel.settings import BadSettings

log = logging.getLogger(__name__)
T = TypeVar("T")

IMPLEMENTATION = UID("2.25.113059749145936325402354257176981405696")
"""Ours, made once from a UUID (PS3.5 B.2)."""
CALLER_NOT_RECOGNIZED = (1, 1, 3)
"""Rejected permanently, by the service user: calling AE title not recognized (PS3.8 9.3.4)."""
PDU_BYTES = 1 << 20
"""A PDU may always be this long: requests for associations list everything a device can send."""
REPORT_TRIES = 6
REPORT_PAUSE_S = 5.0
"""Before the second try; it doubles each time."""


class Listener:
    """Takes associations of known devices."""

    def __init__(self, settings: Settings, known: Devices, receiver: Receiver) -> None:
        self._settings = settings
        self._devices = known
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._server: Any = None
        self._reports: set[asyncio.Task[None]] = set()
        self._sizes: dict[Any, int] = {}

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The port is taken.
        BadSettings
            Certificate or key cannot be read.
        """
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it quotes values
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        place = (self._settings.dimse_host, self._settings.dimse_port or 0)
        self._server = self._entity().start_server(
            place,
            block=False,
            ssl_context=tls.context(self._settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, self._opened),
                (evt.EVT_REQUESTED, self._requested),
                (evt.EVT_DATA_RECV, self._measure),
                (evt.EVT_DIMSE_RECV, self._measured),
                (evt.EVT_CONN_CLOSE, self._measured),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._commit),
            ],
        )

        self._server.contexts = _Shared(self._server.contexts)

    async def stop(self) -> None:
        """End: associations are aborted, what was acknowledged is kept."""
        if self._server:
            await asyncio.to_thread(self._server.shutdown)
        for task in self._reports:
            task.cancel()

    def _entity(self) -> AE:
        entity = AE(ae_title=self._settings.dimse_title)
        entity.implementation_class_uid = IMPLEMENTATION
        entity.require_called_aet = True
        entity.require_calling_aet = list(self._devices)
        entity.maximum_associations = self._settings.dimse_associations
        entity.maximum_pdu_size = self._settings.dimse_pdu_bytes
        entity.network_timeout = entity.dimse_timeout = self._settings.dimse_idle_s
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        entity.add_supported_context(StorageCommitmentPushModel)
        return entity

    def _opened(self, event: evt.Event) -> None:
        """Read no PDU longer than was offered: its length is the peer's word, 4 GB at most.

        pynetdicom reads a PDU whole before it looks at it, and before it knows who is calling;
        and 4 KiB at a time, which costs more than all that is done with an image later.
        """
        socket: Any = event.assoc.dul.socket
        socket.socket.settimeout(self._settings.dimse_idle_s)  # of one read, a handshake too
        read = socket.socket.recv
        longest = max(self._settings.dimse_pdu_bytes or self._settings.dimse_bytes_max, PDU_BYTES)

        def limited(count: int) -> bytearray:
            if count > longest:
                log.warning("a DICOM connection was closed: its message is over the limit")
                telemetry.failure("ingest.dimse", "PDU_TOO_LARGE")
                raise OSError("a PDU is longer than was offered")
            found = bytearray()
            while len(found) < count and (piece := read(min(count - len(found), PDU_BYTES))):
                found += piece
            return found

        socket.recv = limited

    def _requested(self, event: evt.Event) -> None:
        """Reject a known title that calls from an address that is not its own."""
        request: Any = event.assoc.requestor.primitive
        device = self._devices.get(str(request.calling_ae_title).strip(" "))
        if device and not device.may_call_from(str(event.assoc.requestor.address)):
            log.warning("a DICOM association was rejected: the address is not the device's")
            telemetry.failure("ingest.dimse", "ADDRESS_NOT_ALLOWED")
            event.assoc.acse.send_reject(*CALLER_NOT_RECOGNIZED)
            event.assoc.kill()

    def _measure(self, event: evt.Event) -> None:
        """Abort an association whose message grows over the limit: it is held in memory."""
        size = self._sizes.get(event.assoc, 0) + len(event.data)
        self._sizes[event.assoc] = size
        if size > self._settings.dimse_bytes_max:
            log.warning("a DICOM association was aborted: its instance is over the limit")
            telemetry.failure("ingest.dimse", "INSTANCE_TOO_LARGE")
            event.assoc.abort()

    def _measured(self, event: evt.Event) -> None:
        self._sizes.pop(event.assoc, None)

    def _store(self, event: evt.Event) -> Dataset:
        """Answer a C-STORE when its instance is kept, or say why it is not."""
        answer = Dataset()
        answer.Status = statuses.SUCCESS
        request: Any = event.request
        named = Named(str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
        try:
            content = event.encoded_dataset()
            self._await(self._receiver.keep(self._device(event).tenant, named, content))
        except MeshError as error:
            answer.Status, answer.ErrorComment = statuses.status(error), statuses.comment(error)
            log.warning("an instance was not kept: %s", error.reason)
        except Exception as error:  # noqa: BLE001 - the association must get an answer
            answer.Status = statuses.OUT_OF_RESOURCES
            log.error("an instance was not kept: %s", telemetry.frames(error))
        return answer

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Take a request for storage commitment; its report follows."""
        if event.action_type != commitment.REQUEST:
            return commitment.NO_SUCH_ACTION, None
        device = self._device(event)
        try:
            if device.report_to is None:
                raise Unavailable("the device has no place for reports")
            request = commitment.read(event.action_information)
        except Exception as error:  # noqa: BLE001 - whatever the data set holds
            log.warning("a storage commitment was refused: %s", telemetry.frames(error))
            return statuses.PROCESSING_FAILURE, None
        self._loop.call_soon_threadsafe(self._begin_report, device, request)
        return statuses.SUCCESS, None

    def _begin_report(self, device: Device, request: commitment.Request) -> None:
        task = self._loop.create_task(self._report(device, request))
        self._reports.add(task)
        task.add_done_callback(self._reports.discard)

    async def _report(self, device: Device, request: commitment.Request) -> None:
        pause_s = REPORT_PAUSE_S
        for left in reversed(range(REPORT_TRIES)):
            try:
                # Asked anew each time: what is promised must be true when it is sent.
                held = await self._receiver.held(device.tenant, request.named)
                report = commitment.report(request, held)
                title = self._settings.dimse_title
                await asyncio.to_thread(commitment.send, title, device, *report)
                return
            except Exception as error:  # noqa: BLE001 - a device waits for its report
                log.warning("a storage commitment report waits: %s", telemetry.frames(error))
            if left:
                await asyncio.sleep(pause_s)
                pause_s *= 2
        telemetry.failure("ingest.dimse", "REPORT_NOT_TAKEN")

    def _device(self, event: evt.Event) -> Device:
        return self._devices[_title(event)]

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work in the service's loop from an association's thread."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(self._settings.dimse_store_s)
        except TimeoutError as error:
            future.cancel()
            raise Unavailable("the intake did not answer in time") from error


class _Shared(list[Any]):
    """What is accepted, which pynetdicom copies for each association, though nothing changes it.

    Every storage class with every transfer syntax takes a tenth of a second to copy.
    """

    def __deepcopy__(self, memo: object) -> _Shared:
        return self


def _title(event: evt.Event) -> str:
    return str(event.assoc.requestor.ae_title).strip(" ")


def listen(settings: Settings, intake: Intake) -> Listener | None:
    """Return a listener that has begun, or None where the settings ask for none.

    Raises
    ------
    BadSettings
        No or no readable file of devices.
    """
    if settings.dimse_port is None:
        return None
    if settings.dimse_devices_file is None:
        raise BadSettings("DX_INGEST_DIMSE_PORT needs DX_INGEST_DIMSE_DEVICES_FILE")
    try:
        text = settings.dimse_devices_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings("DX_INGEST_DIMSE_DEVICES_FILE cannot be read") from error
    receiver = Receiver(
        intake,
        bytes_max=settings.dimse_bytes_max,
        at_once=settings.uploads_at_once,
    )
    listener = Listener(settings, devices.read(text), receiver)
    listener.start()
    return listener
