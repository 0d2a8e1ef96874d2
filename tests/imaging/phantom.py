"""A chest made of numbers: body, two lungs, vessels, spheres of known size; and its DICOM files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

AIR, TISSUE, LUNG = -1000.0, 40.0, -860.0
STUDY, SERIES, FRAME = "2.25.100", "2.25.200", "2.25.300"

Hounsfield = npt.NDArray[np.int16]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Sphere:
    """A ball in the chest: centre in LPS mm (the body's middle is 0, 0), radius, HU."""

    center: Point
    radius_mm: float
    hu: float = 40.0


@dataclass(frozen=True)
class Tube:
    """A vessel from one point to another, LPS mm."""

    start: Point
    end: Point
    radius_mm: float
    hu: float = 40.0


@dataclass(frozen=True)
class Chest:
    """A phantom and its grid: slices ascend from z 0; the image's middle is x 0, y 0."""

    slices: int = 40
    rows: int = 230
    columns: int = 300
    spacing: Point = (2.5, 1.0, 1.0)
    spheres: Sequence[Sphere] = ()
    tubes: Sequence[Tube] = ()
    lungs: Sequence[float] = (-62.0, 62.0)
    """LPS x of the middle of each lung, mm."""

    noise_hu: float = 12.0
    lung_from_slice: int = 0
    lung_axes_mm: tuple[float, float] = (46.0, 66.0)
    """Half axes of a lung, from side to side and from front to back."""

    seed: int = 5
    _cache: dict[str, Hounsfield] = field(default_factory=dict, compare=False, repr=False)

    @property
    def origin(self) -> Point:
        """LPS of the first voxel's centre, mm."""
        return (
            -(self.columns - 1) / 2 * self.spacing[2],
            -(self.rows - 1) / 2 * self.spacing[1],
            0.0,
        )

    def hu(self) -> Hounsfield:
        """Return int16 HU, (slices, rows, columns)."""
        if "hu" not in self._cache:
            self._cache["hu"] = self._make()
        return self._cache["hu"]

    def _make(self) -> Hounsfield:
        dz, dy, dx = self.spacing
        z = np.arange(self.slices)[:, None, None] * dz
        y = np.arange(self.rows)[None, :, None] * dy + self.origin[1]
        x = np.arange(self.columns)[None, None, :] * dx + self.origin[0]
        shape = (self.slices, self.rows, self.columns)
        field = np.full(shape, AIR)
        field[np.broadcast_to((x / 132) ** 2 + (y / 92) ** 2 <= 1, shape)] = TISSUE
        a, b = self.lung_axes_mm
        for middle in self.lungs:
            inside = ((x - middle) / a) ** 2 + (y / b) ** 2 <= 1
            inside = inside & (z >= self.lung_from_slice * dz)
            field[np.broadcast_to(inside, shape)] = LUNG
        soft = float(np.mean(self.spacing))
        for tube in self.tubes:
            away = _from_segment((x, y, z), tube.start, tube.end)
            _lay(field, away, tube.radius_mm, tube.hu, soft)
        for sphere in self.spheres:
            cx, cy, cz = sphere.center
            away = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
            _lay(field, away, sphere.radius_mm, sphere.hu, soft)
        noise = np.random.default_rng(self.seed).normal(0.0, self.noise_hu, shape)
        return np.clip(np.rint(field + noise), -1024, 3000).astype(np.int16)


def _lay(
    field: npt.NDArray[np.float64],
    away: npt.NDArray[np.float64],
    radius: float,
    hu: float,
    soft: float,
) -> None:
    """Blend a shape in; voxels at its edge hold both, as on CT."""
    share = np.clip(0.5 + (radius - away) / soft, 0.0, 1.0)
    np.copyto(field, np.where(share > 0, field + (hu - field) * share, field))


def _from_segment(
    grid: tuple[npt.NDArray[np.float64], ...], start: Point, end: Point
) -> npt.NDArray[np.float64]:
    way = np.array(end) - np.array(start)
    offsets = [axis - at for axis, at in zip(grid, start, strict=True)]
    along = sum(o * w for o, w in zip(offsets, way, strict=True)) / float(way @ way)
    along = np.clip(along, 0.0, 1.0)
    gaps = [o - along * w for o, w in zip(offsets, way, strict=True)]
    return np.sqrt(sum(gap**2 for gap in gaps))


def datasets(chest: Chest) -> list[Dataset]:
    """Return one CT image per slice, ascending, stored as 16-bit signed with intercept -1024."""
    return [
        dataset(plane, index, chest.origin, chest.spacing) for index, plane in enumerate(chest.hu())
    ]


def blank(slices: int = 14, side: int = 16, spacing: Point = (2.5, 0.8, 0.8)) -> list[Dataset]:
    """Return slices whose HU are ten times their index: enough for geometry, quick to make.

    Their last row is air: a CT without any value below water is none.
    """
    planes = [np.full((side, side), index * 10, np.int16) for index in range(slices)]
    for plane in planes:
        plane[-1] = -1000
    return [dataset(plane, index, (0.0, 0.0, 0.0), spacing) for index, plane in enumerate(planes)]


def dataset(plane: Hounsfield, index: int, origin: Point, spacing: Point) -> Dataset:
    """Return one slice as a CT image."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"2.25.{9000 + index}"
    made.StudyInstanceUID, made.SeriesInstanceUID = STUDY, SERIES
    made.FrameOfReferenceUID = FRAME
    made.PatientID, made.PatientSex = "pseudonym", "F"
    made.Modality, made.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.InstanceNumber = index + 1
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.ImagePositionPatient = [origin[0], origin[1], origin[2] + index * spacing[0]]
    made.PixelSpacing = [spacing[1], spacing[2]]
    made.SliceThickness = spacing[0]
    made.Rows, made.Columns = plane.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.PixelData = (plane.astype(np.int32) + 1024).astype(np.int16).tobytes()
    made["PixelData"].VR = "OW"
    return made


def written(one: Dataset) -> bytes:
    """Return a data set's file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, one, enforce_file_format=True)
    return buffer.getvalue()


def archive(contents: Iterable[Dataset | bytes]) -> bytes:
    """Return the uncompressed ZIP that de-identification writes for a series."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        for number, content in enumerate(contents, start=1):
            data = content if isinstance(content, bytes) else written(content)
            made.writestr(f"{number:04}.dcm", data)
    return buffer.getvalue()
