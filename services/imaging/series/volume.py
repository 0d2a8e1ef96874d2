"""A series as one block of CT numbers in patient space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hounsfield = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels and where they lie. Rows and columns are those of the stored images."""

    hu: Hounsfield
    """int16, HU, (slices, rows, columns), slices ascending from the feet."""

    affine: Floats
    """(4, 4): (slice, row, column, 1) to LPS mm."""

    sop_uids: tuple[str, ...]
    """SOP instance UID of each slice."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows, columns, mm."""
        z, y, x = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return z, y, x

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel, mm3."""
        z, y, x = self.spacing_mm
        return z * y * x

    def to_patient(self, index: Floats) -> Floats:
        """Return LPS mm, (..., 3), of (slice, row, column) indices, (..., 3)."""
        moved = np.asarray(index, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]
        return np.asarray(moved)
