"""Pseudonyms: the same input gives the same output for a tenant, and only for that tenant.

Everything rests on a keyed hash (HMAC-SHA256) with a domain for each use, so that equal
values in two uses cannot be linked, and nobody without the key can guess a value back.
"""

from __future__ import annotations

from typing import Protocol

from services.anonymization import dates

SHIFT_DAYS_MAX = 730
SHIFT_SECONDS_MIN, SHIFT_SECONDS_MAX = 60, 1800


class Hasher(Protocol):
    """A tenant's keyed hash; `kernel.crypto.KeyedHash` is one."""

    def digest(self, domain: str, *values: str) -> bytes:
        """Return 32 bytes for the values in a domain."""


class Pseudonyms:
    """Everything derived for one patient of one tenant.

    Parameters
    ----------
    hasher
        The tenant's keyed hash.
    subject
        What names the patient: the same for every study of that patient.
    """

    def __init__(self, hasher: Hasher, subject: str) -> None:
        self._hasher = hasher
        self.subject = subject
        self._uids: dict[str, str] = {}
        digest = hasher.digest("date-shift", subject)
        self.shift_days = -(1 + int.from_bytes(digest[:8], "big") % SHIFT_DAYS_MAX)
        """Days added to each date: -1 to -730. Into the past, so nothing lies ahead of now."""
        span = SHIFT_SECONDS_MAX - SHIFT_SECONDS_MIN + 1
        self.shift_seconds = SHIFT_SECONDS_MIN + int.from_bytes(digest[8:16], "big") % span
        """Seconds added to each DICOM time of day: 60 to 1800."""

    @property
    def uids(self) -> dict[str, str]:
        """UIDs mapped so far: as received → new."""
        return self._uids

    def uid(self, original: str) -> str:
        """Return `2.25.<128 bits>` (PS3.5 B.2), the same for a UID wherever it stands."""
        new = self._uids.get(original)
        if new is None:
            digest = self._hasher.digest("uid", original)
            new = self._uids[original] = f"2.25.{int.from_bytes(digest[:16], 'big')}"
        return new

    def patient_id(self, original: str) -> str:
        """Return a Patient ID; two patients mixed in one series stay two."""
        return "P" + self._hasher.digest("patient-id", original).hex()[:15].upper()

    def subject_pseudonym(self) -> str:
        """Return the name by which the analysis zone knows the patient."""
        return "S" + self._hasher.digest("subject", self.subject).hex()[:24]

    def date(self, text: str) -> str | None:
        """Return a DICOM DA moved by the patient's days; None when it is no date."""
        return dates.shift_da(text, self.shift_days)

    def time(self, text: str) -> str | None:
        """Return a DICOM TM moved by the patient's seconds; None when it is no time."""
        return dates.shift_tm(text, self.shift_seconds)

    def datetime(self, text: str) -> str | None:
        """Return a DICOM DT moved by both; None when it is none."""
        return dates.shift_dt(text, self.shift_days, self.shift_seconds)
