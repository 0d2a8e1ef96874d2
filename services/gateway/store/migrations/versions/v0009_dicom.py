"""What DICOMweb serves: studies, series and where their instances lie."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables; the gateway fills them from the archives of its cases."""
    op.create_table(
        "gateway_dicom_cases",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "case_id"),
    )
    op.create_table(
        "gateway_dicom_studies",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("study", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("patient", sa.String(32), nullable=False),
        sa.Column("accession", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "study", "case_id"),
    )
    table = "gateway_dicom_studies"
    op.create_index("gateway_dicom_studies_by_day", table, ["tenant", "day", "study"])
    op.create_index("gateway_dicom_studies_by_patient", table, ["tenant", "patient"])
    op.create_index("gateway_dicom_studies_by_accession", table, ["tenant", "accession"])
    op.create_index("gateway_dicom_studies_by_case", table, ["tenant", "case_id"])
    op.create_table(
        "gateway_dicom_series",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("study", sa.String(32), nullable=False),
        sa.Column("series", sa.String(32), nullable=False),
        sa.Column("case_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "study", "series", "case_id"),
    )
    op.create_index("gateway_dicom_series_by_case", "gateway_dicom_series", ["tenant", "case_id"])
