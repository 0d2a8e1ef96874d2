"""What each frame of an enhanced multi-frame object says of itself, and what sets images apart.

Source: DICOM PS3.3 C.7.6.16 (functional groups), C.8.15.3 (enhanced CT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from services.imaging.series.attributes import first, number, numbers, text, texts, upper

if TYPE_CHECKING:
    from services.imaging.series.headers import Header

APART = ("acquisition", "kernel", "image type", "thickness", "tube voltage", "moment", "stack")
"""What can differ between acquisitions or reconstructions in one series, in this order."""

NO_AGENT = frozenset(("NO", "NONE", "N", "WITHOUT", "PLAIN", "NATIVE"))


def contrast(dataset: Dataset) -> bool | None:
    """Return whether a contrast agent is stated; None: the header does not say."""
    agent = upper(dataset, "ContrastBolusAgent")
    if agent:
        return agent.split(" ")[0] not in NO_AGENT
    if any(
        dataset.get(name)
        for name in ("ContrastBolusVolume", "ContrastBolusRoute", "ContrastBolusAgentSequence")
    ):
        return True
    return False if "ContrastBolusAgent" in dataset else None


def apart(dataset: Dataset) -> tuple[str, ...]:
    """Return the values of `APART` of a whole file."""
    return (
        text(dataset, "AcquisitionNumber"),
        text(dataset, "ConvolutionKernel"),
        "\\".join(texts(dataset, "ImageType")).upper(),
        text(dataset, "SliceThickness"),
        text(dataset, "KVP"),
        text(dataset, "TemporalPositionIndex") or text(dataset, "TemporalPositionIdentifier"),
        "",
    )


def group_values(
    dataset: Dataset, shared: Dataset, per_frame: Dataset, one: Header
) -> dict[str, Any]:
    """Return the fields of a frame's header that its functional groups state."""

    def group(name: str) -> Dataset:
        return first(per_frame, name) if per_frame.get(name) else first(shared, name)

    measures = group("PixelMeasuresSequence")
    values = group("PixelValueTransformationSequence")
    slope, intercept = numbers(values, "RescaleSlope"), numbers(values, "RescaleIntercept")
    kind = group("CTImageFrameTypeSequence")
    kernel = text(group("CTReconstructionSequence"), "ConvolutionKernel") or one.kernel
    thickness = number(measures, "SliceThickness")
    frame_type = tuple(part.upper() for part in texts(kind, "FrameType")) or one.image_type
    return {
        "position": numbers(group("PlanePositionSequence"), "ImagePositionPatient") or one.position,
        "orientation": numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient")
        or one.orientation,
        "pixel_mm": numbers(measures, "PixelSpacing") or one.pixel_mm,
        "rescale": (slope[0], intercept[0]) if slope and intercept else one.rescale,
        "rescale_type": upper(values, "RescaleType") or one.rescale_type,
        "thickness_mm": one.thickness_mm if thickness is None else thickness,
        "kernel": kernel,
        "image_type": frame_type,
        "apart": _apart(dataset, group, kernel, frame_type, thickness),
    }


def _apart(
    dataset: Dataset, group: Any, kernel: str, frame_type: tuple[str, ...], thickness: float | None
) -> tuple[str, ...]:
    content = group("FrameContentSequence")
    voltage = text(group("CTXRayDetailsSequence"), "KVP") or text(dataset, "KVP")
    return (
        text(content, "FrameAcquisitionNumber"),
        kernel,
        "\\".join(frame_type),
        "" if thickness is None else f"{thickness:.3f}",
        voltage,
        text(content, "TemporalPositionIndex"),
        text(content, "StackID"),
    )
