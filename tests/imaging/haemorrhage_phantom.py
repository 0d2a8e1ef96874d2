"""A head made of numbers: scalp, skull, brain, ventricles, and blood of known volume."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.imaging.series.volume import Volume

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]

AIR, SCALP, BONE, BRAIN, FLUID, BLOOD = -1000.0, 30.0, 1100.0, 33.0, 5.0, 66.0
SKULL_MM = (72.0, 92.0, 84.0)
"""Half axes of the outer table: left to right, front to back, up."""

BONE_MM, SCALP_MM = 6.0, 5.0


@dataclass(frozen=True)
class Ball:
    """Blood in the brain: centre in LPS mm (the head's middle is 0, 0, 0) and radius."""

    center: Point
    radius_mm: float
    hu: float = BLOOD


@dataclass(frozen=True)
class Lens:
    """Blood under the skull around a place on it: half width and thickness, mm."""

    place: Point
    half_mm: float
    thick_mm: float
    hu: float = BLOOD


@dataclass(frozen=True)
class Head:
    """A phantom and how it is scanned."""

    blood: tuple[Ball | Lens, ...] = ()
    shift_mm: float = 0.0
    """Of the ventricles, towards the patient's left."""

    ventricles: bool = True
    turn_degrees: float = 0.0
    tilt_degrees: float = 0.0
    gaps_mm: tuple[float, ...] = (6.0,) * 22
    pixel_mm: float = 1.05
    side: int = 192
    noise_hu: float = 4.0
    bone_hu: float = BONE
    seed: int = 3
    _cache: dict[str, tuple[Volume, Floats]] = field(default_factory=dict, compare=False)

    def volume(self) -> Volume:
        """Return the scanned volume."""
        return self._made()[0]

    def blood_ml(self) -> Floats:
        """Return the volume of each piece of blood, ml, from a fine grid of its own."""
        return np.array([_volume_ml(piece) for piece in self.blood])

    def _made(self) -> tuple[Volume, Floats]:
        if "made" not in self._cache:
            self._cache["made"] = self._scan()
        return self._cache["made"]

    def _scan(self) -> tuple[Volume, Floats]:
        tilt = np.deg2rad(self.tilt_degrees)
        row = np.array([0.0, np.cos(tilt), -np.sin(tilt)])
        column = np.array([1.0, 0.0, 0.0])
        normal = np.cross(column, row)
        along = np.concatenate([[0.0], np.cumsum(self.gaps_mm)])
        table = along / normal[2]
        corner = -(self.side - 1) / 2 * self.pixel_mm * (row + column)
        positions = corner + np.stack([0 * table, 0 * table, table - table[-1] * 0.55], axis=1)
        rows, columns = np.indices((self.side, self.side)) * self.pixel_mm
        planes = []
        random = np.random.default_rng(self.seed)
        for position in positions:
            at = position + rows[..., None] * row + columns[..., None] * column
            plane = self.hu(at) + random.normal(0, self.noise_hu, rows.shape)
            planes.append(np.clip(np.rint(plane), -1024, 3000).astype(np.int16))
        affine = np.eye(4)
        affine[:3, 0] = (positions[-1] - positions[0]) / (len(positions) - 1)
        affine[:3, 1], affine[:3, 2] = row * self.pixel_mm, column * self.pixel_mm
        affine[:3, 3] = positions[0]
        made = Volume(
            np.stack(planes),
            affine,
            tuple(f"2.25.{7000 + number}" for number in range(len(planes))),
            positions_mm=positions,
            tilt_degrees=self.tilt_degrees,
            even=len(set(self.gaps_mm)) == 1,
            gaps_mm=tuple(self.gaps_mm),
        )
        return made, along

    def hu(self, at: Floats) -> Floats:
        """Return CT numbers at LPS points (..., 3); edges are shared over 0.8 mm."""
        angle = np.deg2rad(self.turn_degrees)
        x = at[..., 0] * np.cos(angle) + at[..., 1] * np.sin(angle)
        y = -at[..., 0] * np.sin(angle) + at[..., 1] * np.cos(angle)
        own = np.stack([x, y, at[..., 2]], axis=-1)
        depth = under_skull(own)
        field = np.full(own.shape[:-1], AIR)
        for edge, value in (
            (BONE_MM + SCALP_MM, SCALP),
            (BONE_MM, self.bone_hu),
            (0.0, BRAIN),
        ):
            field = _lay(field, depth + edge, value)
        if self.ventricles:
            for side in (-1, 1):
                middle = (side * 9.0 + self.shift_mm, -8.0, 10.0)
                away = _ellipsoid(own, middle, (7.0, 28.0, 22.0))
                field = _lay(field, away, FLUID)
        for piece in self.blood:
            field = _lay(field, inside_blood(own, piece), piece.hu)
        return field


def under_skull(at: Floats) -> Floats:
    """Return about how deep points lie under the inner table, mm; negative in bone and outside."""
    inner = np.array(SKULL_MM) - BONE_MM
    return _ellipsoid(at, (0.0, 0.0, 0.0), tuple(inner))


def inside_blood(at: Floats, piece: Ball | Lens) -> Floats:
    """Return how deep points lie inside blood, mm; negative outside."""
    if isinstance(piece, Ball):
        away = np.linalg.norm(at - np.array(piece.center), axis=-1)
        return np.asarray(piece.radius_mm - away)
    depth = under_skull(at)
    away = np.linalg.norm(at - np.array(piece.place), axis=-1)
    held = piece.thick_mm * (1 - (away / piece.half_mm) ** 2) - depth
    return np.asarray(np.minimum(held, depth + 0.4))


def _ellipsoid(at: Floats, middle: Point, axes: tuple[float, ...]) -> Floats:
    """Return about the distance to an ellipsoid's surface, mm, positive inside."""
    scaled = (at - np.array(middle)) / np.array(axes)
    radius = np.linalg.norm(scaled, axis=-1)
    slope = np.linalg.norm(scaled / np.array(axes), axis=-1) / np.maximum(radius, 1e-9)
    return np.asarray((1 - radius) / np.maximum(slope, 1e-9))


def _lay(field: Floats, depth: Floats, value: float) -> Floats:
    share = np.clip(0.5 + depth / 0.8, 0.0, 1.0)
    return np.asarray(field + (value - field) * share)


def _volume_ml(piece: Ball | Lens) -> float:
    if isinstance(piece, Ball):
        return float(4 / 3 * np.pi * piece.radius_mm**3) / 1000.0
    reach = np.arange(-piece.half_mm - 8, piece.half_mm + 8, 0.7)
    grid = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1)
    held = inside_blood(grid + np.array(piece.place), piece) > 0
    return float(held.sum()) * 0.7**3 / 1000.0
