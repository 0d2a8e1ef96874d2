"""What the headers of a series say, for routing; filled as it becomes known. Never identity."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.kernel.errors import MeshError


@dataclass(frozen=True, slots=True)
class SetAside:
    """Images that were left out while the rest was read, and why."""

    reason: str
    """The reason of the refusal they would have been: "LOCALISER", "DERIVED_IMAGES", …"""

    images: int
    """How many."""

    message: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    """The numbers that show it."""


@dataclass(slots=True)
class Facts:
    """What is known of an archive, also when it is refused half-way.

    Texts are as de-identification left them: a word that it does not know is gone. What a
    header does not say is "", None or empty; where images of one archive differ, the first
    is told here and each source tells its own.
    """

    series_uid: str = ""
    study_uid: str = ""
    modality: str = ""
    """Upper case, as stated: "CT", "DX", "CR", "RG", "MR", "SM"; "" when not stated."""

    slices: int = 0
    """Images that were read: slices of all volumes, or radiographs."""

    spacing_mm: float = 0.0
    """Distance between slices of the largest volume, mm; 0 when unknown."""

    pixel_mm: float = 0.0
    refusal: MeshError | None = None

    files: int = 0
    set_aside: list[SetAside] = field(default_factory=list)

    body_part: str = ""
    """Upper case, "CHEST", "HEAD", "HAND"; from Body Part Examined, else the coded anatomic
    region, else a word of the descriptions."""

    view: str = ""
    """Upper case: "PA", "AP", "LL", "RL", "LAT", "OBL"."""

    laterality: str = ""
    """ "L", "R", "B" (both) or ""."""

    kernel: str = ""
    """Convolution kernel, as the manufacturer writes it."""

    thickness_mm: float | None = None
    contrast: bool | None = None
    """True: an agent is stated; False: the header says none; None: it does not say."""

    phase: str = ""
    """Words of the descriptions that name a contrast phase, upper case: "ARTERIAL", "PLAIN"."""

    age_years: float | None = None
    """At the study; 90 stands for all older ages."""

    sex: str | None = None
    """ "M", "F", "O"."""

    manufacturer: str = ""
    model: str = ""
    image_type: tuple[str, ...] = ()
    sop_class: str = ""
    """SOP class UID."""

    description: str = ""
    """Words of series, study and protocol descriptions, upper case."""

    kvp: float | None = None
    exposure_mas: float | None = None
    patient_position: str = ""
    """ "HFS", "FFS", …"""

    acquired: str = ""
    """Date of acquisition as shifted by de-identification, YYYYMMDD; for the order of studies
    of one pseudonym alone."""

    lossy: bool | None = None
    """True: the pixels went through lossy compression."""

    photometric: str = ""
    rows: int = 0
    columns: int = 0
    burned_in_text: bool | None = None
    """What the header says of text in the pixels; None: it does not say."""

    unlike: str = ""
    """What the pixels speak for where they contradict the header, for explanation."""
