"""The way back from a case, and what keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypedDict


class Imaged(TypedDict):
    """The part that a study's images are in."""

    part: str
    supersedes: str
    """The part that it takes the place of; empty: none."""
    supplement: int
    series: dict[str, str]
    """Series UID as received → BlobRef of its archive, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a case is about, and what its pseudonyms stand for."""

    patient: str
    """FHIR Patient as submitted, JSON."""
    service_request: str
    imaging_studies: list[str]
    days_to_true_date: int
    uids: dict[str, str]
    """UID of the analysis zone → UID as received: studies, series, instances and their frames."""
    references: dict[str, str]
    """Id in the analysis zone → reference as submitted."""
    names: list[str] = field(default_factory=list)
    """Known strings of the case, for redacting texts that come later."""
    numbers: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    purpose: str = ""
    """What the case was submitted for, and who analyses: consent is asked again for late images."""
    recipient: str = ""
    studies: dict[str, Imaged] = field(default_factory=dict)
    """Study UID as received → what became of its images."""
    time_shift_s: int = 0
    """Seconds by which DICOM times of day were moved later; 0: kept by an earlier version."""
    confidentiality: str = ""
    """Strictest label, R or V, of what was analysed; empty: none."""


class Identities(Protocol):
    """What the worker and the service need of the store."""

    async def put(self, tenant: str, case_id: str, identity: Identity) -> None:
        """Keep the identity of a case; a repeat replaces it."""

    async def get(self, tenant: str, case_id: str) -> Identity:
        """Return it; raises NotFound or KeyDestroyed."""

    async def is_destroyed(self, tenant: str, case_id: str) -> bool:
        """Tell whether the case was stopped."""

    async def destroy(self, tenant: str, case_id: str) -> None:
        """Forget a case for good."""
