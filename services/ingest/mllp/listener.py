"""The listener: connections of known systems, one message at a time on each.

The next message of a connection is read when the one before it is answered, so a sender that is
faster than the stores is held back by TCP, and what is held in memory is at most one message for
each connection.

Source: HL7 Transport Specification: MLLP, Release 1.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress

from services.ingest.mllp import tls
from services.ingest.mllp.framing import Blocks, Garbage, framed
from services.ingest.mllp.receiving import Receiver
from services.ingest.settings import Settings
from services.kernel import telemetry
from services.kernel.errors import TooLarge

log = logging.getLogger(__name__)

HANDSHAKE_S = 15.0
WRITE_S = 30.0
CLOSE_S = 5.0
BUFFER_BYTES = 128 << 10
"""What asyncio reads ahead of a connection; it holds twice as much at most."""


class Listener:
    """Takes connections."""

    def __init__(self, settings: Settings, receiver: Receiver) -> None:
        self._settings = settings
        self._receiver = receiver
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._secure: ssl.SSLContext | None = None

    @property
    def port(self) -> int:
        """The port listened on."""
        sockets = self._server.sockets if self._server else ()
        return int(sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen.

        Raises
        ------
        OSError
            The port is taken.
        BadSettings
            Certificate or key cannot be read.
        """
        self._secure = tls.context(self._settings)
        self._server = await asyncio.start_server(
            self._connected,
            self._settings.mllp_host,
            self._settings.mllp_port,
            limit=BUFFER_BYTES,
        )

    async def stop(self) -> None:
        """End: what was answered is kept; a message under way is not answered."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= self._settings.mllp_connections:
            log.warning("an HL7 connection was closed: there are too many")
            telemetry.failure("ingest.mllp", "TOO_MANY_CONNECTIONS")
            writer.close()
            return
        self._open.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            log.info("an HL7 connection ended: it was silent too long, or broke")
        except asyncio.CancelledError:
            # Only `stop` cancels; asyncio's own callback cannot bear a cancelled connection.
            log.info("an HL7 connection was ended with the service")
        except Garbage:
            log.warning("an HL7 connection was closed: what it sends is no MLLP")
            telemetry.failure("ingest.mllp", "NO_MLLP")
        finally:
            self._open.discard(task)
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), CLOSE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the messages of a connection until it ends."""
        settings = self._settings
        address = str((writer.get_extra_info("peername") or ("",))[0])
        if not self._receiver.knows(address):
            log.warning("an HL7 connection was closed: nobody may call from its address")
            telemetry.failure("ingest.mllp", "ADDRESS_NOT_ALLOWED")
            return
        if self._secure:  # here, so that one who connects and says nothing is counted
            await writer.start_tls(self._secure, ssl_handshake_timeout=HANDSHAKE_S)
        certified = tls.names(writer.get_extra_info("peercert"))
        blocks = Blocks(reader, settings.mllp_bytes_max, settings.mllp_message_s)
        while True:
            try:
                content = await blocks.next(settings.mllp_idle_s)
            except TooLarge as error:
                if answer := self._receiver.too_large(blocks.beginning, error):
                    await _write(writer, answer)
                await _linger(reader, writer)
                return
            if content is None:
                return
            if answer := await self._receiver.answer(content, address, certified):
                await _write(writer, answer)


async def _write(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(framed(answer))
    async with asyncio.timeout(WRITE_S):
        await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what is still on its way for a while: closing at once would take the answer back."""
    if writer.can_write_eof():
        writer.write_eof()
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            while await reader.read(BUFFER_BYTES):
                pass
