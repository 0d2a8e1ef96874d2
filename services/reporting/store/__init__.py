"""The reporting service's database: cases, endings of parts, versions, signatures, outbox."""

from services.reporting.store.drafts import Drafts
from services.reporting.store.outbox import Outbox, Outgoing
from services.reporting.store.reports import ReportStore
from services.reporting.store.rows import Version
from services.reporting.store.sender import Sender
from services.reporting.store.signatures import SignatureStore
from services.reporting.store.tables import metadata

__all__ = [
    "Drafts",
    "Outbox",
    "Outgoing",
    "ReportStore",
    "Sender",
    "SignatureStore",
    "Version",
    "metadata",
]
