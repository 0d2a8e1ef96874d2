"""Tables of the DICOM objects that can be asked for: what QIDO-RS is answered from."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table

from services.gateway.store.tables import key_column, metadata

DICOM_CASES = Table(
    "gateway_dicom_cases",
    metadata,
    key_column("tenant", 64),
    key_column("case_id", 64),
    Column("version", Integer, nullable=False),
)
"""Cases whose archives were looked through, and under which version of the report."""

DICOM_STUDIES = Table(
    "gateway_dicom_studies",
    metadata,
    key_column("tenant", 64),
    key_column("study", 32),
    key_column("case_id", 64),
    Column("day", Integer, nullable=False),
    Column("patient", String(32), nullable=False),
    Column("accession", String(32), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_dicom_studies_by_day", "tenant", "day", "study"),
    Index("gateway_dicom_studies_by_patient", "tenant", "patient"),
    Index("gateway_dicom_studies_by_accession", "tenant", "accession"),
    Index("gateway_dicom_studies_by_case", "tenant", "case_id"),
)
"""One row per study and case. `study`, `patient` and `accession` are keyed hashes of the UID,
the Patient ID and the Accession Number; `day` is the study's date, year, month and day in 14, 7
and 7 bits, 0 when unknown."""

DICOM_SERIES = Table(
    "gateway_dicom_series",
    metadata,
    key_column("tenant", 64),
    key_column("study", 32),
    key_column("series", 32),
    key_column("case_id", 64),
    Column("sealed", LargeBinary, nullable=False),
    Index("gateway_dicom_series_by_case", "tenant", "case_id"),
)
"""One row per series and case: where its instances lie in which blob, and what is said of them."""
