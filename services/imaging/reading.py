"""What a reader takes and gives: the interface that all functions of imaging share. Pure.

A reader is one folder (`nodules/`, `haemorrhage/`, `fractures/`, `pathology/`) with a class
in its `reader.py` that fulfils `Reader`. It is called in a thread of its own, so it may
compute for as long as it needs, and it asks models through `Ask` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from dxmesh.event.v1.model_use_pb2 import ModelUse
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.series.refusals import SeriesRefused

Tensors = Mapping[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]
Source_contra = TypeVar("Source_contra", contravariant=True)
"""One of `series.sources.Source`: Volume, Radiograph or SlideFiles; a reader of slides opens
and closes the slide itself."""


class ModelMissing(SeriesRefused):
    """A model is not in the repository, not loaded, or fails again and again.

    A reading that cannot do without it lets this pass: its part is declined with the
    model's name. A reading that can catches it and says in a statement what is missing.
    """


class Ask(Protocol):
    """Asks a model; blocks until it has answered. Batches of any length are split."""

    def __call__(self, model: str, inputs: Tensors) -> dict[str, npt.NDArray[Any]]:
        """Return the model's outputs, one row per input row.

        Raises
        ------
        ModelMissing
            The model is not there; trying again soon cannot help.
        services.kernel.errors.Unavailable
            The inference server is away for now: let it pass, the part is taken again.
        """


class Checkpoint(Protocol):
    """Where long work leaves what it has done, so that another process can go on.

    Names are letters, digits and hyphens. What is saved is encrypted under the key of the
    case and removed when the part is done. It is bound to the part, the series and the
    versions of the reader's models: another model's half work is never found.
    """

    def load(self, name: str) -> bytes | None:
        """Return what was saved under a name, or None."""

    def save(self, name: str, content: bytes) -> None:
        """Keep content under a name, in place of what was there."""


def _unseen(share: float) -> None:
    """Show progress to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known beside the pixels; never identity."""

    age_years: float | None = None
    sex: str | None = None
    """ "M", "F", "O"; None: not stated."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the routing rule: `operating_point`, limits, … ; absent: the card's value."""

    card: Callable[[str], Mapping[str, Any]]
    """The card of a model by its name; raises ModelMissing."""

    prior: Sequence[pb.Finding] = ()
    """Findings of this function in an earlier study of the same pseudonym, if any."""

    prior_days: float | None = None
    """Days from that study to this one."""

    progress: Callable[[float], None] = _unseen
    """Called with 0 to 1 while long work runs; cheap, any thread."""

    checkpoint: Checkpoint | None = None
    """None: the work is short, or nothing can be kept."""


@dataclass(slots=True)
class Lesion:
    """One finding and its voxels."""

    finding: pb.Finding
    """All but finding_id, segment_number, tracking_uid, and in `place` the series UID:
    the worker fills these. `place.sop_instance_uid` and `frame` are the reader's."""

    mask: Mask | None = None
    """Crop, (slices, rows, columns) of a volume or (rows, columns); None: the box alone."""

    start: tuple[int, int, int] = (0, 0, 0)
    """Where the crop's first voxel lies in the source: slice, row, column."""


@dataclass(slots=True)
class Picture:
    """A picture for people beside the key images that the worker draws of each lesion."""

    role: str
    """ "overview", "heat-map", "map"."""

    png: bytes
    width_px: int
    height_px: int
    sop_uid: str = ""
    frame: int = 0
    window: tuple[float, float] | None = None
    """Centre and width, HU; None: not CT numbers."""


@dataclass(slots=True)
class HeatMap:
    """A probability for each cell of a grid over a slide's level 0."""

    values: npt.NDArray[np.float32]
    """(rows, columns), 0 to 1; NaN where nothing was read (glass)."""

    cell_px: float
    """Side of a cell, pixels of level 0; the grid begins at (0, 0)."""

    kind: str = "tumour"


@dataclass(slots=True)
class Nuclei:
    """Nuclei of a slide, for bulk annotations."""

    centroids: npt.NDArray[np.float32]
    """(n, 2): column, row in pixels of level 0."""

    polygons: Sequence[npt.NDArray[np.float32]] = ()
    """Per nucleus (k, 2): column, row; k may differ. Empty: centroids alone."""

    areas_um2: npt.NDArray[np.float32] | None = None
    """(n,)."""


@dataclass(slots=True)
class Annotations:
    """What a slide's reading hands to the DICOM writers beside lesions."""

    heat_map: HeatMap | None = None
    nuclei: Nuclei | None = None


@dataclass(slots=True)
class Reading:
    """What one reader says of one source."""

    answer: pb.Answer
    """All but series_instance_uid, which the worker fills."""

    lesions: list[Lesion] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    annotations: Annotations | None = None


@dataclass(slots=True)
class ReadSource:
    """One source after a reader has read it, as the DICOM writers are given it.

    `dicom_out` makes objects of all of a part's at once, after findings that several series
    show were merged, numbered and given their UIDs.
    """

    facts: Any
    """`series` facts of its series."""

    source: Any
    """The source. Of a volume the grid alone: its `hu` is all 0 and takes no memory."""

    files: Sequence[Path]
    """The series' DICOM files on disk, in the order of the archive; headers can be read."""

    reading: Reading
    """Lesions that remain, findings complete; `finding.segment_number` counts from 1 over
    the lesions of the series that have a mask, whichever reader saw them."""

    models: Sequence[ModelUse] = ()
    """What the reader asked, for algorithm identification."""


@dataclass(slots=True)
class DicomObject:
    """One DICOM file that a writer of `dicom_out` made; UIDs must be the same when a part is
    read again (derive them from tracking UIDs and series UID, never at random)."""

    content: bytes
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    source_series_instance_uid: str
    modality: str
    """SEG, SR, KO, PR, ANN."""


class Writer(Protocol):
    """`dicom_out.write.objects`: makes the DICOM objects of a part; called in a thread.

    An error costs the objects, never the findings.
    """

    def __call__(
        self, read: Sequence[ReadSource], lost: Callable[[str, Exception], None] | None = None
    ) -> Iterable[DicomObject]:
        """Return SEG, SR and others, one held at a time.

        `lost` is told of an object that cannot be made: its modality and why.
        """


class Reader(Protocol[Source_contra]):
    """One function of imaging."""

    @property
    def function(self) -> pb.Function.ValueType:
        """Which of the four readings; a class attribute will do."""

    @property
    def name(self) -> str:
        """As the routing table names it: "nodules", "haemorrhage", "fractures", "pathology"."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model it may ask; loaded and warmed before the first part."""

    def read(self, source: Source_contra, context: Context, ask: Ask) -> Reading:
        """Read one source.

        Raises
        ------
        SeriesRefused
            It is not for this reader after all; the numbers say why.
        """


def measure(
    name: str, value: float, unit: str, *, low: float | None = None, high: float | None = None
) -> pb.Measure:
    """Return one measured number in its UCUM unit."""
    return pb.Measure(name=name, value=float(value), unit=unit, low=low, high=high)


def quality(name: str, value: str, probability: float | None = None) -> pb.Quality:
    """Return one property; the probability only where one was estimated."""
    return pb.Quality(name=name, value=value, probability=probability)


def statement(key: str, **facts: str) -> pb.Statement:
    """Return a sentence by its key in the table of words, with what is filled in."""
    return pb.Statement(key=key, facts=facts)
