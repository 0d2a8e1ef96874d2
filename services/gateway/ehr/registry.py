"""The EHRs that may launch dxmesh, as the operator writes them: a TOML file. Pure.

[[ehrs]]
name = "north"                          # in addresses; lower-case letters, digits, "-"
tenant = "north"
issuer = "https://ehr.example/fhir"     # base of its FHIR R4 server, exactly as it sends `iss`
client_id = "dxmesh"
auth = "public"                         # or "private_key_jwt", "client_secret"
key_file = "ehr-north.jwk"              # private_key_jwt: our private key, JWK (RSA or P-384)
secret_file = "ehr-north.secret"        # client_secret
scopes = "launch openid fhirUser …"     # the default asks for what dxmesh uses
hosts = ["auth.ehr.example"]            # further hosts that its addresses may name
frame_ancestors = ["https://ehr.example"]
ca_file = "hospital-ca.pem"             # authority of its TLS, when not a public one
write_back = "report"                   # or "transaction" (Observations apart), "none"
patient_systems = ["urn:oid:1.2.3"]     # systems of the record number; none: types MR, then PI

[ehrs.backend]                          # backend services, for writing back when nobody is there
client_id = "dxmesh-backend"
scopes = "system/DiagnosticReport.crus"

[[ehrs.users]]                          # an EHR user who is a physician of the accounts file
match = "Practitioner/123"              # fhirUser, or "system|value" of an identifier
account = "li.wei"

[ehrs.physicians]                       # EHR users who need no account
allow = ["urn:oid:1.2.4|*", "Practitioner/7"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from services.kernel.settings import BadSettings

SCOPES = (
    "launch openid fhirUser offline_access patient/Patient.r patient/Encounter.r "
    "patient/ServiceRequest.rs patient/Observation.rs patient/DocumentReference.rs "
    "patient/Binary.r patient/ImagingStudy.rs patient/Consent.rs patient/DiagnosticReport.crus"
)
AUTHS = ("public", "private_key_jwt", "client_secret")
WRITE_BACKS = ("report", "transaction", "none")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_KNOWN = frozenset(
    {"name", "tenant", "issuer", "client_id", "auth", "key_file", "secret_file", "scopes", "hosts"}
    | {"frame_ancestors", "ca_file", "write_back", "patient_systems", "backend", "users"}
    | {"physicians"}
)

Read = Callable[[str], str]
"""Returns the text of a file that is named in the document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ehr:
    """One EHR and what it may do."""

    name: str
    tenant: str
    issuer: str
    """Base of its FHIR server, without a slash at the end."""
    client_id: str
    auth: str = "public"
    key: str = field(default="", repr=False)
    """Private JWK, JSON text; empty: none."""
    secret: str = field(default="", repr=False)
    scopes: str = SCOPES
    hosts: frozenset[str] = frozenset()
    """host or host:port that its addresses may name; the issuer's own is one."""
    frame_ancestors: tuple[str, ...] = ()
    ca_file: str = ""
    write_back: str = "report"
    patient_systems: tuple[str, ...] = ()
    backend_client_id: str = ""
    backend_scopes: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    """fhirUser or "system|value" → account of the accounts file."""
    allow: tuple[str, ...] = ()
    """fhirUser, "system|value" or "system|*" of physicians who need no account."""

    def trusts(self, url: str) -> bool:
        """Tell whether an address is one of the EHR's: https (or loopback), a host it names."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or parts.fragment:
            return False
        host = (parts.hostname or "").lower()
        if parts.scheme != "https" and not (parts.scheme == "http" and host in LOOPBACK):
            return False
        standard = {"https": 443, "http": 80}[parts.scheme]
        return f"{host}:{port or standard}" in self.hosts


@dataclass(frozen=True, slots=True)
class Registry:
    """Every configured EHR."""

    by_name: Mapping[str, Ehr] = field(default_factory=dict)

    def of_issuer(self, issuer: str) -> Ehr | None:
        """Return the EHR that calls itself so; a slash at the end makes no difference."""
        wanted = issuer.rstrip("/")
        return next((e for e in self.by_name.values() if e.issuer == wanted), None)


def parse(text: str, read: Read) -> Registry:
    """Return the EHRs in a TOML document; `read` gives the text of key and secret files.

    Raises
    ------
    BadSettings
        Names the entry and what is wrong with it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"the EHR file is not TOML: {error}") from error
    found: dict[str, Ehr] = {}
    for number, entry in enumerate(document.get("ehrs", []), 1):
        ehr = _ehr(entry, f"ehrs[{number}]", read)
        for other in found.values():
            if other.name == ehr.name or other.issuer == ehr.issuer:
                raise BadSettings(f"ehrs[{number}]: {other.name} has the same name or issuer")
            if other.tenant == ehr.tenant:
                # Ids of two EHRs would meet in one store: Patient/7 is not the other's.
                raise BadSettings(f"ehrs[{number}]: tenant {ehr.tenant} has an EHR, {other.name}")
        found[ehr.name] = ehr
    return Registry(found)


def _ehr(entry: Mapping[str, Any], where: str, read: Read) -> Ehr:
    if unknown := entry.keys() - _KNOWN:
        raise BadSettings(f"{where}: {', '.join(sorted(unknown))} is not known")
    name, issuer = _text(entry, "name", where), _text(entry, "issuer", where).rstrip("/")
    if not _NAME.fullmatch(name):
        raise BadSettings(f"{where}: a name is lower-case letters, digits and '-'")
    backend, physicians = _table(entry, "backend", where), _table(entry, "physicians", where)
    ehr = Ehr(
        name=name,
        tenant=_text(entry, "tenant", where),
        issuer=issuer,
        client_id=_text(entry, "client_id", where),
        auth=_one_of(entry, "auth", AUTHS, where),
        key=read(str(entry["key_file"])) if entry.get("key_file") else "",
        secret=read(str(entry["secret_file"])).strip() if entry.get("secret_file") else "",
        scopes=str(entry.get("scopes", SCOPES)),
        hosts=frozenset([_authority(issuer, where), *_hosts(entry, where)]),
        frame_ancestors=tuple(_origins(entry, where)),
        ca_file=str(entry.get("ca_file", "")),
        write_back=_one_of(entry, "write_back", WRITE_BACKS, where),
        patient_systems=tuple(_texts(entry, "patient_systems", where)),
        backend_client_id=str(backend.get("client_id", "")),
        backend_scopes=str(backend.get("scopes", "")),
        users=_users(entry, where),
        allow=tuple(_texts(physicians, "allow", where)),
    )
    if ehr.auth == "private_key_jwt" and not ehr.key:
        raise BadSettings(f"{where}: private_key_jwt needs key_file")
    if ehr.auth == "client_secret" and not ehr.secret:
        raise BadSettings(f"{where}: client_secret needs secret_file")
    if backend and not (ehr.backend_client_id and ehr.key):
        raise BadSettings(f"{where}: backend needs client_id, and key_file of the EHR")
    if not ehr.trusts(issuer):
        raise BadSettings(f"{where}: issuer must be https (http on loopback alone)")
    return ehr


def _users(entry: Mapping[str, Any], where: str) -> dict[str, str]:
    users = entry.get("users", [])
    return {
        _text(u, "match", f"{where}.users"): _text(u, "account", f"{where}.users") for u in users
    }


def _hosts(entry: Mapping[str, Any], where: str) -> list[str]:
    return [_authority(f"https://{host}", where) for host in _texts(entry, "hosts", where)]


def _origins(entry: Mapping[str, Any], where: str) -> list[str]:
    origins = _texts(entry, "frame_ancestors", where)
    for origin in origins:
        parts = urlsplit(origin)
        # What stands here becomes a part of a header; "*" or a list would open it to others.
        plain = re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", origin)
        if not plain or (parts.scheme == "http" and parts.hostname not in LOOPBACK):
            raise BadSettings(f"{where}: a frame ancestor is https://host[:port], no more")
    return origins


def _authority(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError as error:
        raise BadSettings(f"{where}: not an address") from error
    if not re.fullmatch(r"[a-z0-9._:-]+", (parts.hostname or "").lower()) or not port:
        raise BadSettings(f"{where}: not an address")
    return f"{str(parts.hostname).lower()}:{port}"


def _one_of(entry: Mapping[str, Any], name: str, allowed: tuple[str, ...], where: str) -> str:
    value = str(entry.get(name, allowed[0]))
    if value not in allowed:
        raise BadSettings(f"{where}: {name} must be one of {', '.join(allowed)}")
    return value


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise BadSettings(f"{where}: {name} is missing")
    return value


def _texts(entry: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = entry.get(name, [])
    if not isinstance(values, list) or not all(isinstance(v, str) and v for v in values):
        raise BadSettings(f"{where}: {name} must be a list of texts")
    return values


def _table(entry: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    value = entry.get(name, {})
    if not isinstance(value, dict):
        raise BadSettings(f"{where}: {name} must be a table")
    return value
