"""What takes results of laboratories, over the network and as files, from the settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from services.ingest.hl7v2 import senders
from services.ingest.hl7v2.convert import Names
from services.ingest.hl7v2.senders import Senders
from services.ingest.hl7v2.site import Site
from services.ingest.mllp.listener import Listener
from services.ingest.mllp.receiving import Receiver
from services.ingest.settings import Settings
from services.ingest.uploaded import Admits, ResultsFile
from services.kernel.settings import BadSettings


class Results:
    """The two ways in, over one admission."""

    def __init__(
        self,
        admission: Admits,
        hasher_for: Callable[[str], Awaitable[Names]],
        now: Callable[[], datetime],
        settings: Settings,
    ) -> None:
        """Read the table of senders.

        Raises
        ------
        BadSettings
            It cannot be read, or a setting is none.
        """
        self._admission = admission
        self._hasher_for = hasher_for
        self._now = now
        self._settings = settings
        self._senders = _senders(settings)
        self.files = ResultsFile(
            admission,
            hasher_for,
            now,
            self._senders,
            _site(settings),
            entries_max=settings.bundle_entries_max,
            cases_max=settings.results_cases_max,
        )

    async def listen(self) -> Listener | None:
        """Return a listener that has begun, or None where the settings ask for none.

        Raises
        ------
        BadSettings
            No table of senders, or no usable certificate.
        """
        if self._settings.mllp_port is None:
            return None
        if self._senders is None:
            raise BadSettings("DX_INGEST_MLLP_PORT needs DX_INGEST_MLLP_SENDERS_FILE")
        if self._senders.certified and not self._settings.mllp_client_ca_file:
            raise BadSettings("certificates of HL7 senders need DX_INGEST_MLLP_CLIENT_CA_FILE")
        receiver = Receiver(
            self._admission,
            self._senders,
            self._hasher_for,
            self._now,
            entries_max=self._settings.bundle_entries_max,
            at_once=self._settings.uploads_at_once,
        )
        listener = Listener(self._settings, receiver)
        await listener.start()
        return listener


def _senders(settings: Settings) -> Senders | None:
    if settings.mllp_senders_file is None:
        return None
    try:
        text = settings.mllp_senders_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings("DX_INGEST_MLLP_SENDERS_FILE cannot be read") from error
    return senders.read(text)


def _site(settings: Settings) -> Site:
    if not senders.OFFSET.fullmatch(settings.utc_offset):
        raise BadSettings("DX_INGEST_UTC_OFFSET is not ±HH:MM")
    return Site(utc_offset=settings.utc_offset, identifier_system=settings.identifier_system)
