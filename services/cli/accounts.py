"""Accounts of a local mesh: the demo physician, the operator, the auditor, the EHR.

Passwords and tokens are made anew for each state folder and written to a file that only
its owner may read; the gateway gets hashes alone (scrypt, RFC 7914; SHA-256 for tokens of
256 random bits).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

SCRYPT = {"n": 1 << 14, "r": 8, "p": 1}
TENANT = "demo"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person at this machine signs in with."""

    physician: str
    physician_password: str
    ehr_token: str
    operator_token: str
    auditor_token: str = ""
    """Empty in a state folder of a version that had no auditor."""


def make_credentials() -> Credentials:
    """Return fresh credentials."""
    return Credentials(
        physician="demo-physician",
        physician_password="-".join(secrets.token_hex(2) for _ in range(3)),
        ehr_token=secrets.token_urlsafe(32),
        operator_token=secrets.token_urlsafe(32),
        auditor_token=secrets.token_urlsafe(32),
    )


def save(credentials: Credentials, folder: Path) -> None:
    """Write `credentials.json` for people and `accounts.toml` for the gateway."""
    secret = folder / "credentials.json"
    secret.touch(mode=0o600)
    secret.write_text(json.dumps(asdict(credentials), indent=2) + "\n")
    (folder / "accounts.toml").write_text(_accounts(credentials))


def read(folder: Path) -> Credentials:
    """Return the credentials of a state folder."""
    return Credentials(**json.loads((folder / "credentials.json").read_text()))


def password_hash(password: str) -> str:
    """Return `scrypt$n$r$p$salt$hash`, salt and hash in base64."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, dklen=32, **SCRYPT)
    numbers = "$".join(str(SCRYPT[name]) for name in ("n", "r", "p"))
    encoded = "$".join(base64.b64encode(part).decode() for part in (salt, digest))
    return f"scrypt${numbers}${encoded}"


def _accounts(credentials: Credentials) -> str:
    clients = [
        ("demo-ehr", "ehr", credentials.ehr_token),
        ("demo-operator", "operator", credentials.operator_token),
        ("demo-auditor", "auditor", credentials.auditor_token),
    ]
    lines = ["# Accounts of a local mesh; hashes only.", ""]
    for name, role, token in clients:
        digest = hashlib.sha256(token.encode()).hexdigest()
        lines += ["[[clients]]", f'id = "{name}"', f'tenant = "{TENANT}"', f'role = "{role}"']
        lines += [f'token_sha256 = "{digest}"', ""]
    lines += [
        "[[users]]",
        f'name = "{credentials.physician}"',
        f'tenant = "{TENANT}"',
        'role = "physician"',
        'display = "Demo Physician (fictional)"',
        'practitioner = "urn:dxmesh:demo|physician-1"',
        f'password = "{password_hash(credentials.physician_password)}"',
        "",
    ]
    return "\n".join(lines)
