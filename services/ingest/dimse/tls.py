"""TLS for the listener, with handshakes that keep nobody waiting.

Source: DICOM PS3.15 B.1.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from services.ingest.settings import Settings
from services.kernel.settings import BadSettings


class LateHandshake(ssl.SSLContext):
    """Shakes hands when a connection is first read, in its own thread.

    pynetdicom wraps a connection in the thread that takes all of them: there, one caller that
    connects and says nothing would keep every device out.
    """

    def wrap_socket(self, sock: socket.socket, *_: Any, **how: Any) -> ssl.SSLSocket:
        """Return the connection; nothing was read of it yet."""
        return super().wrap_socket(sock, **(how | {"do_handshake_on_connect": False}))


def context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context, asking for a client's certificate where an authority is named.

    Raises
    ------
    BadSettings
        A file cannot be read.
    """
    if not settings.dimse_certificate_file:
        return None
    made = LateHandshake(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(settings.dimse_certificate_file, settings.dimse_key_file)
        if settings.dimse_client_ca_file:
            made.load_verify_locations(settings.dimse_client_ca_file)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise BadSettings("the TLS files of the DICOM listener cannot be read") from error
    return made
