"""TLS of the HL7 listener."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from services.ingest.settings import Settings
from services.kernel.settings import BadSettings


def context(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context, asking for a client's certificate where an authority is named.

    Raises
    ------
    BadSettings
        A file cannot be read.
    """
    if not settings.mllp_certificate_file:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(settings.mllp_certificate_file, settings.mllp_key_file)
        if settings.mllp_client_ca_file:
            made.load_verify_locations(settings.mllp_client_ca_file)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise BadSettings("the TLS files of the HL7 listener cannot be read") from error
    return made


def names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the names that a verified certificate is for, lower case: subject and alternatives.

    `certificate` is as `SSLSocket.getpeercert` has it; None: none was shown.
    """
    if not certificate:
        return frozenset()
    subject = (pair for group in certificate.get("subject", ()) for pair in group)
    found = [value for name, value in subject if name == "commonName"]
    kinds = ("DNS", "URI", "IP Address", "email")
    found += [value for kind, value in certificate.get("subjectAltName", ()) if kind in kinds]
    return frozenset(str(each).lower() for each in found)
