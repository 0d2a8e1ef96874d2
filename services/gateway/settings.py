"""Settings of the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.settings import IdentitySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(IdentitySettings):
    """Gateway settings, read from `DX_GATEWAY_*`."""

    accounts_file: Path
    """TOML file with the clients and users that may sign in; hashes only."""

    cds_clients_file: Path | None = None
    """TOML file with the CDS Hooks clients and their public keys; none: nobody may call a hook."""

    database_url: str = "sqlite+aiosqlite:///gateway.sqlite"
    """The gateway's database: sqlite+aiosqlite:///path or postgresql+asyncpg://…"""

    http_listen: str = "127.0.0.1:8080"
    """Address the HTTP server listens on, host:port."""

    public_url: str = ""
    """Address clients reach the gateway under, https://host; empty: that of the request."""

    cors_origins: str = ""
    """Origins whose scripts may call the FHIR server, by tenant:
    `north=https://app.example https://b.example; south=…`. Empty: none."""

    http_tls_dir: Path | None = None
    """Folder with tls.crt and tls.key for HTTPS; none: plain HTTP behind a proxy or on loopback."""

    ingest_address: str = "127.0.0.1:50052"
    """gRPC address of ingest, host:port."""

    anonymization_address: str = "127.0.0.1:50053"
    """gRPC address of anonymization, host:port."""

    reporting_address: str = "127.0.0.1:50054"
    """gRPC address of reporting, host:port."""

    consent_address: str = "127.0.0.1:50055"
    """gRPC address of consent, host:port."""

    imaging_address: str = ""
    """gRPC address of imaging; asked for its health alone. Empty: not asked."""

    labs_address: str = ""
    """gRPC address of labs; asked for its health alone. Empty: not asked."""

    nlp_address: str = ""
    """gRPC address of nlp; asked for its health alone. Empty: not asked."""

    bundle_bytes_max: int = 48 << 20
    """Largest submission Bundle, bytes."""

    upload_bytes_max: int = 4 << 30
    """Largest STOW-RS request, bytes."""

    call_timeout_s: float = 20.0
    """Deadline of a call to another service."""

    upload_timeout_s: float = 600.0
    """Deadline of a call that carries an upload."""

    export_keep_s: float = 86_400.0
    """Seconds that the files of a finished export can be fetched; their key dies with them."""

    session_s: float = 8 * 3600.0
    """Seconds a physician stays signed in; one shift."""

    session_idle_s: float = 1800.0
    """Seconds without a request after which a physician must sign in again."""

    outbound_hosts: str = ""
    """Hosts that clients' key sets, subscriptions and EHRs may lie at, by https and at public
    addresses: `[tenant/]host[:port]`, `*.example.org` or `*`, between commas; empty: none."""

    outbound_private_hosts: str = ""
    """Hosts among your own that may lie at private addresses: `[tenant/][http://]host[:port]`
    between commas; `http://` allows plain HTTP."""

    outbound_ca_file: Path | None = None
    """PEM file with the hospital's own certificate authorities, trusted besides the public ones."""

    smart_access_token_s: float = 900.0
    """Seconds a SMART access token is valid, 300 to 3600."""

    smart_refresh_token_s: float = 90 * 86400.0
    """Seconds after which a grant with `offline_access` ends and the physician consents again."""

    smart_key_overlap_s: float = 86400.0
    """Seconds an old signing key, or a client's old secret, is still good after a rotation."""

    smart_key_days: int = 90
    """Days after which the signing key of id_tokens is replaced."""

    ehr_file: Path | None = None
    """TOML file with the EHRs that may launch dxmesh, see docs/smart.md; none: no EHR may."""

    ehr_sign_s: float = 900.0
    """Seconds after a launch in which a physician without an account here may sign."""

    ehr_retrieve_s: float = 180.0
    """Seconds that images may take to come from the EHR when a case is submitted."""

    ehr_write_days: float = 7.0
    """Days after which a signed report that the EHR does not take is given up, and shown so."""

    subscription_retry_s_max: float = 600.0
    """Longest wait between two attempts to notify an endpoint that is away, seconds."""

    subscription_retry_days: float = 14.0
    """Days an endpoint may be away; then its Subscription stays in error until it is updated."""

    subscription_events_days: float = 30.0
    """Days for which delivered events of a Subscription can be asked for again by `$events`."""

    critical_escalation_minutes: float = 15.0
    """Minutes after which a critical result that nobody has read is told again; 0: never."""

    critical_escalations_max: int = 3
    """How often it is told again."""

    critical_tenants: str = ""
    """Tenants with another rule: `tenant=minutes [times [recipient …]]` between `;`, such as
    `north=10 2 PractitionerRole/on-call`; recipients are those of the escalations."""

    audit_years: float = 10.0
    """Years the audit trail is kept; 0: for ever."""

    concurrency: int = 4
    """Events handled at once, per topic."""
