"""A series as one block of CT numbers in patient space."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Hounsfield = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]


def _nowhere() -> Floats:
    return np.empty((0, 3))


@dataclass(frozen=True, slots=True)
class Volume:
    """Voxels and where they lie. Rows and columns are those of the stored images.

    As acquired: a gantry tilt and uneven distances are kept and said. A reading that needs a
    straight and even grid asks `series.upright.upright(volume)`.
    """

    hu: Hounsfield
    """int16, HU, (slices, rows, columns), slices ascending from the feet."""

    affine: Floats
    """(4, 4): (slice, row, column, 1) to LPS mm. Where distances are uneven its first column
    is the mean step: use `to_patient`, which does not."""

    sop_uids: tuple[str, ...]
    """SOP instance UID of each slice; that of the nearest where slices were resampled."""

    frames: tuple[int, ...] = ()
    """Frame of each slice in its instance, from 1; 0 for an instance of one frame. Empty: all 0."""

    positions_mm: Floats = field(default_factory=_nowhere)
    """(slices, 3) LPS mm of each slice's first pixel. Empty: as the affine says."""

    thickness_mm: float | None = None
    """Nominal slice thickness, the median where it varies; None: not stated."""

    tilt_degrees: float = 0.0
    """Gantry tilt: angle between the slices' normal and the way from slice to slice; + where
    the normal leans to the back, as Gantry/Detector Tilt is mostly written."""

    lean_degrees: float = 0.0
    """Angle between the slices' normal and the body's axis (z)."""

    even: bool = True
    """Whether slices are equally far apart, within 5%."""

    gaps_mm: tuple[float, ...] = ()
    """Distances along the normal from slice to slice, mm. Empty: all `spacing_mm[0]`."""

    kernel: str = ""
    contrast: bool | None = None
    image_type: tuple[str, ...] = ()
    resampled: str = ""
    """What was done to get here: "" or "untilted"."""

    offsets_px: Floats | None = None
    """(slices, 2): rows, columns that each slice was moved by; None: not moved."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices (the mean step where uneven), rows, columns, mm."""
        z, y, x = (float(np.linalg.norm(self.affine[:3, axis])) for axis in range(3))
        return z, y, x

    @property
    def voxel_mm3(self) -> float:
        """Volume of one voxel, mm3; of a mean one where distances are uneven."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    def slice_mm(self) -> Floats:
        """Return what each slice stands for along the normal, mm, (slices,): from half-way to
        its neighbours; for volumes where distances are uneven."""
        count = len(self.hu)
        if len(self.gaps_mm) != count - 1 or count < 2:
            return np.full(count, self._along_normal())
        gaps = np.asarray(self.gaps_mm)
        ends = np.concatenate([gaps[:1], gaps, gaps[-1:]])
        return np.asarray((ends[:-1] + ends[1:]) / 2)

    def to_patient(self, index: Floats) -> Floats:
        """Return LPS mm, (..., 3), of (slice, row, column) indices, (..., 3)."""
        at = np.asarray(index, np.float64)
        if self.even or len(self.positions_mm) < 2:
            return np.asarray(at @ self.affine[:3, :3].T + self.affine[:3, 3])
        below = np.clip(np.floor(at[..., 0]), 0, len(self.positions_mm) - 2).astype(np.intp)
        part = (at[..., 0] - below)[..., None]
        corner = self.positions_mm[below] * (1 - part) + self.positions_mm[below + 1] * part
        return np.asarray(corner + at[..., 1:] @ self.affine[:3, 1:3].T)

    def frame(self, index: int) -> int:
        """Return the frame of a slice in its instance; 0 for an instance of one frame."""
        return self.frames[index] if self.frames else 0

    def on_image(self, index: int) -> tuple[float, float]:
        """Return the (row, column) in slice `index` of the volume where the stored image's
        first pixel lies: subtract it to get from the volume to the stored image."""
        if self.offsets_px is None:
            return 0.0, 0.0
        row, column = self.offsets_px[index]
        return float(row), float(column)

    def _along_normal(self) -> float:
        area = float(np.linalg.norm(np.cross(self.affine[:3, 1], self.affine[:3, 2])))
        return self.voxel_mm3 / area if area else 0.0
