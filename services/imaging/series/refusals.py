"""Why a series is not read. Each type is one reason; its facts are the numbers that show it."""

from __future__ import annotations

from services.kernel.errors import InvalidInput


class SeriesRefused(InvalidInput):
    """A series cannot be read; sending it again unchanged cannot help."""

    issue = "not-supported"
    code = ""
    """The reason where the class name does not spell it."""

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(
            message, (), reason=self.code, **{name: _plain(value) for name, value in facts.items()}
        )


class DamagedSeries(SeriesRefused):
    """The archive or one of its files cannot be read to its end."""


class SeriesTooLarge(SeriesRefused):
    """More slices, bytes or voxels than a lung CT has."""


class NotAChestCt(SeriesRefused):
    """Another modality, or no two lungs in the picture."""

    code = "NOT_A_CHEST_CT"


class OtherModality(SeriesRefused):
    """A modality or a kind of object that no reading takes."""


class SecondaryCapture(SeriesRefused):
    """A picture of a screen, a scanned paper or a report: not measured values."""


class ImplausibleCt(SeriesRefused):
    """Numbers that no CT of a body has: another modality or a picture under CT's name."""


class NotAPatient(SeriesRefused):
    """A phantom or an animal, by its own header."""

    code = "NOT_A_PATIENT"


class LyingTransferSyntax(SeriesRefused):
    """Pixels that are encoded otherwise than their file says."""


class Localiser(SeriesRefused):
    """An overview image for planning, not slices."""


class DerivedImages(SeriesRefused):
    """Projections, renderings or screen captures: not measured slices."""


class MultiFrame(SeriesRefused):
    """An enhanced multi-frame object; only one slice per file is read."""


class TooFewSlices(SeriesRefused):
    """Too few slices, or too short a stack, to find a nodule in three dimensions."""


class MissingGeometry(SeriesRefused):
    """A slice does not say where it lies in the patient."""


class MissingRescale(SeriesRefused):
    """Stored values cannot be turned into HU: slope or intercept is missing or 0."""


class MixedPatients(SeriesRefused):
    """Slices of different patients in one series."""


class MixedSeries(SeriesRefused):
    """Slices of several studies or series in one archive."""


class MixedFramesOfReference(SeriesRefused):
    """Slices whose positions do not share one coordinate system."""


class MixedOrientation(SeriesRefused):
    """Slices that are not parallel."""


class MixedPixelSpacing(SeriesRefused):
    """Slices of different matrix or pixel spacing."""


class NotAxial(SeriesRefused):
    """Slices that do not cut across the body."""


class GantryTilt(SeriesRefused):
    """The stack is sheared: slices are not at a right angle to the table's way."""


class ShiftedSlices(SeriesRefused):
    """Slices that are moved sideways against each other."""


class DuplicateSlices(SeriesRefused):
    """Several slices lie at one position."""


class MissingSlices(SeriesRefused):
    """Gaps of a whole number of slices."""


class UnevenSliceSpacing(SeriesRefused):
    """Distances between slices that differ."""


class SlicesTooFarApart(SeriesRefused):
    """Slices further apart than a small nodule is thick."""


class UnsuitablePixels(SeriesRefused):
    """Pixels that hold no CT numbers: colour, an unknown layout, or a size out of range."""


class UnsupportedCompression(SeriesRefused):
    """A transfer syntax this service has no decoder for."""


def _plain(value: object) -> str:
    """Return numbers short: 2.5, not 2.4999998."""
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
