"""A laboratory's message, and what is made of it, for the tests of HL7 v2."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.ingest.hl7v2 import header, message
from services.ingest.hl7v2.acknowledgement import Told, build
from services.ingest.hl7v2.refusal import NotTaken
from services.ingest.hl7v2.site import Site
from services.ingest.results import Results

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)
PID = "PID|1||MRN0042917^^^HIS^MR||赵^铁柱||19700102|M"
OBR = "OBR|1|P1^HIS|F1^LIS|CBC^血常规^L|||20261126090000|||||||||||||||20261126093000|||F"
WBC = "OBX|1|NM|6690-2^Leukocytes^LN||12.50|10*9/L^^UCUM|3.5-9.5|H|||F|||20261126090500"


def msh(control_id: str = "M1", charset: str = "UNICODE UTF-8", **fields: str) -> str:
    """Return a header; keywords `f5` … replace fields."""
    made = ["MSH", "^~\\&", "LIS", "NORTH", "DXMESH", "", "20261126100000+0800", ""]
    made += ["ORU^R01^ORU_R01", control_id, "P", "2.5.1", "", "", "", "", "", charset]
    for name, value in fields.items():
        made[int(name[1:]) - 1] = value
    return "|".join(made)


def oru(*results: str, head: str = "", pid: str = PID, obr: str = OBR) -> str:
    """Return a message with these OBX (and what follows them)."""
    return "".join(f"{line}\r" for line in (head or msh(), pid, obr, *(results or (WBC,))))


def names(domain: str, *values: str) -> str:
    """Stand in for a tenant's keyed hash."""
    return hashlib.sha256("\x00".join((domain, *values)).encode()).hexdigest()


def read(content: str | bytes, site: Site | None = None, **limits: Any) -> Results:
    """Return the submission of a message."""
    sent = content if isinstance(content, bytes) else content.encode()
    return message.results(sent, site or Site(), names, NOW, **limits)


def resources(content: str | bytes, kind: str, site: Site | None = None) -> list[dict[str, Any]]:
    """Return the resources of a type that a message becomes."""
    entries = json.loads(read(content, site).bundle)["entry"]
    return [e["resource"] for e in entries if e["resource"]["resourceType"] == kind]


def observation(*results: str, **how: Any) -> dict[str, Any]:
    """Return the first Observation of a message with these results."""
    found: dict[str, Any] = resources(oru(*results, **how), "Observation")[0]
    return found


def reasons(content: str | bytes, site: Site | None = None) -> dict[str, str]:
    """Return what was listed of a message: reason → where."""
    return {each.reason: each.source for each in read(content, site).problems}


def refused(content: str | bytes, site: Site | None = None, **limits: Any) -> str:
    """Return why a message is refused; its answer can be built."""
    try:
        read(content, site, **limits)
    except NotTaken as error:
        sent = content if isinstance(content, bytes) else content.encode()
        told = [Told(error.place, error.code, error.reason, error.message)]
        assert build(header.of(sent), "R", told, "1", NOW)
        return error.reason
    return ""


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "laboratories")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    places = folder / "tls.crt", folder / "tls.key"
    places[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    places[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return places
