"""Settings of the ingest service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.ingest.limits import ArchiveLimits, Defaults
from services.kernel.settings import BadSettings, IdentitySettings

GIB, MIB = 1 << 30, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(IdentitySettings):
    """Ingest settings, read from `DX_INGEST_*`."""

    database_url: str = "sqlite+aiosqlite:///ingest.db"
    """Its own database: sqlite+aiosqlite:///path or postgresql+asyncpg://user@host/name."""

    consent_address: str = "127.0.0.1:50055"
    """gRPC address of the consent service, host:port."""

    consent_timeout_s: float = 10.0
    """Deadline of one call to the consent service."""

    recipient: str = "urn:dxmesh:demo|DXMESH-ANALYSIS"
    """Who analyses here, as Consents name it, system|value; each hospital sets its own."""

    language: str = "en"
    """Language of a report whose submission states none: zh or en."""

    due_s: float = 3600.0
    """Seconds from submission to the report's due time, unless the order states one."""

    due_s_min: float = 60.0
    """Fewest seconds a stated due time may lie ahead; analysis needs some to say anything."""

    due_s_max: float = 7 * 86_400.0
    """Most seconds a stated due time may lie ahead."""

    bundle_bytes_max: int = 32 * MIB
    """Largest submission Bundle, bytes."""

    bundle_entries_max: int = 5000
    """Most entries of a submission Bundle."""

    instance_bytes_max: int = 2 * GIB
    """Largest DICOM file, bytes."""

    archive_bytes_max: int = 4 * GIB
    """Largest ZIP archive, bytes."""

    archive_entries_max: int = 5000
    """Most entries of a ZIP archive."""

    archive_total_bytes_max: int = 16 * GIB
    """Most bytes a ZIP archive may unpack to."""

    archive_ratio_max: float = 200.0
    """Most times an entry, or a whole archive, may grow when unpacked; under 32 MiB any may."""

    spool_dir: Path | None = None
    """Folder for encrypted content while it is checked; none: the system's temporary one."""

    orphan_s: float = 86_400.0
    """Seconds after which an upload that no case refers to is destroyed."""

    sweep_s: float = 300.0
    """Seconds between two looks for uploads to destroy."""

    announce_s: float = 5.0
    """Seconds between attempts to announce cases that the bus has not confirmed."""

    uploads_at_once: int = 8
    """Uploads and submissions taken at once; more wait."""

    concurrency: int = 4
    """Stopped cases whose intake is destroyed at once."""

    quiet_s: float = 20.0
    """Seconds without a new instance after which a study that is not whole, or whose number of
    instances is not stated, is read as it is; 0: at once."""

    late_s: float = 7 * 86_400.0
    """Seconds after a submission in which images of its studies still make it a new version."""

    look_s: float = 2.0
    """Seconds between two looks at studies that are arriving."""

    dimse_port: int | None = None
    """Port for C-STORE, C-ECHO and storage commitment, usually 104 or 11112; none: not offered."""

    dimse_host: str = "127.0.0.1"
    """Address the DICOM listener binds to; 0.0.0.0 for devices of other machines."""

    dimse_title: str = "DXMESH"
    """Its application entity title; an association that calls another is rejected."""

    dimse_devices_file: Path | None = None
    """TOML file of the devices that may send; see docs/guides/receiving.md."""

    dimse_certificate_file: Path | None = None
    """Certificate chain of the DICOM listener, PEM; none: without TLS."""

    dimse_key_file: Path | None = None
    """Key of that certificate, PEM."""

    dimse_client_ca_file: Path | None = None
    """Authority that a device's certificate must come from; none: devices show no certificate."""

    dimse_associations: int = 16
    """Associations at once; more are rejected as transient."""

    dimse_bytes_max: int = 512 * MIB
    """Largest instance by C-STORE, bytes: each association holds one in memory."""

    dimse_pdu_bytes: int = 128 << 10
    """Largest protocol data unit, bytes; 0: no limit."""

    dimse_idle_s: float = 60.0
    """Seconds after which a silent association is ended."""

    dimse_store_s: float = 60.0
    """Seconds an instance may take to be kept before its sender is told to try later."""

    mllp_port: int | None = None
    """Port for HL7 v2 results over MLLP, usually 2575; none: not offered."""

    mllp_host: str = "127.0.0.1"
    """Address the HL7 listener binds to; 0.0.0.0 for systems of other machines."""

    mllp_senders_file: Path | None = None
    """TOML file of the systems that may send, and of their ways; see docs/guides/hl7v2.md."""

    mllp_certificate_file: Path | None = None
    """Certificate chain of the HL7 listener, PEM; none: without TLS."""

    mllp_key_file: Path | None = None
    """Key of that certificate, PEM."""

    mllp_client_ca_file: Path | None = None
    """Authority that a sender's certificate must come from; none: senders show no certificate."""

    mllp_connections: int = 32
    """HL7 connections at once; more are closed."""

    mllp_bytes_max: int = 16 * MIB
    """Largest HL7 message, bytes: each connection holds one in memory."""

    mllp_message_s: float = 60.0
    """Seconds in which an HL7 message must arrive whole once it has begun."""

    mllp_idle_s: float = 600.0
    """Seconds after which an HL7 connection without a message is closed."""

    results_bytes_max: int = 32 * MIB
    """Largest file of HL7 messages or CSV rows, bytes."""

    results_cases_max: int = 500
    """Most cases of one file: messages, or patients of a CSV file."""

    utc_offset: str = "+00:00"
    """Zone of times in HL7 messages and CSV rows that state none, ±HH:MM; a sender's goes first."""

    identifier_system: str = ""
    """System of patient identifiers in HL7 messages and CSV files that name no authority; as the
    Consents of these patients have it."""

    @property
    def archive_limits(self) -> ArchiveLimits:
        """The limits of a ZIP archive."""
        return ArchiveLimits(
            entries=self.archive_entries_max,
            entry_bytes=self.instance_bytes_max,
            total_bytes=self.archive_total_bytes_max,
            ratio=self.archive_ratio_max,
        )

    @property
    def defaults(self) -> Defaults:
        """What holds where a submission says nothing.

        Raises
        ------
        BadSettings
            The language is neither zh nor en, or the recipient is not system|value.
        """
        if self.language not in ("zh", "en"):
            raise BadSettings("DX_INGEST_LANGUAGE is neither zh nor en")
        if "|" not in self.recipient:
            raise BadSettings("DX_INGEST_RECIPIENT is not system|value")
        return Defaults(
            recipient=self.recipient,
            language=self.language,
            due_s=self.due_s,
            due_s_min=self.due_s_min,
            due_s_max=self.due_s_max,
            entries_max=self.bundle_entries_max,
            quiet_s=self.quiet_s,
            late_s=self.late_s,
        )
