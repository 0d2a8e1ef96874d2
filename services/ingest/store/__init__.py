"""Everything ingest keeps: encrypted content in the identity zone, rows in its database."""

from services.ingest.store.cases import CaseStore
from services.ingest.store.intake import Intake
from services.ingest.store.originals import OriginalStore
from services.ingest.store.relay import Relay
from services.ingest.store.spool import Spool
from services.ingest.store.stores import Stores
from services.ingest.store.tables import metadata

__all__ = ["CaseStore", "Intake", "OriginalStore", "Relay", "Spool", "Stores", "metadata"]
