"""Tables of exports and CDS Hooks (none yet)."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make them."""
