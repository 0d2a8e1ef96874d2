"""What a header says beside the pixels: `Facts` out of a data set. Never identity."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator

from pydicom.dataset import Dataset

from services.imaging.series.attributes import (
    UNREADABLE,
    first,
    items,
    meaning,
    number,
    text,
    upper,
)
from services.imaging.series.body_parts import body_part
from services.imaging.series.facts import Facts
from services.imaging.series.frames import contrast
from services.imaging.series.headers import Header
from services.imaging.series.refusals import DamagedSeries

YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
PHASES = ("ARTERIAL", "VENOUS", "PORTAL", "DELAYED", "PLAIN", "NATIVE", "NON-CONTRAST")
PHASES_ZH = {"动脉期": "ARTERIAL", "静脉期": "VENOUS", "延迟期": "DELAYED", "平扫": "PLAIN"}
VIEWS = {
    "POSTERO-ANTERIOR": "PA",
    "ANTERO-POSTERIOR": "AP",
    "LEFT LATERAL": "LL",
    "RIGHT LATERAL": "RL",
    "LATERAL": "LAT",
    "OBLIQUE": "OBL",
    "AXIAL": "AXIAL",
    "TANGENTIAL": "TANGENTIAL",
}
"""View codes' meanings (PS3.16 CID 4010), the longest that a text begins with or holds."""

VIEW_WORDS = {"正位": "AP", "侧位": "LAT", "斜位": "OBL", "LATERAL": "LAT", "OBLIQUE": "OBL"}
SEXES = ("M", "F", "O")


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn what pydicom raises on a malformed value into a refusal.

    Raises
    ------
    DamagedSeries
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote values
            yield
    except UNREADABLE as error:
        raise DamagedSeries("a value of an image cannot be read") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let a malformed value of an image that is set aside anyway pass."""
    with contextlib.suppress(DamagedSeries), readable():
        yield


def tell(facts: Facts, dataset: Dataset, image: Header) -> None:
    """Fill in what one image's header says."""
    facts.series_uid, facts.study_uid = image.series_uid, image.study_uid
    facts.modality = image.modality
    facts.pixel_mm = image.pixel_mm[-1] if image.pixel_mm else 0.0
    facts.rows, facts.columns = image.rows, image.columns
    facts.photometric = image.stored.photometric
    facts.image_type, facts.sop_class = image.image_type, image.sop_class
    facts.kernel, facts.thickness_mm = image.kernel, image.thickness_mm
    facts.description = description(dataset)
    facts.body_part = part_of(dataset)
    facts.view, facts.laterality = view_of(dataset), laterality_of(dataset)
    facts.contrast, facts.phase = contrast(dataset), _phase(facts.description)
    facts.age_years, facts.sex = age_years(dataset), sex_of(dataset)
    facts.manufacturer = upper(dataset, "Manufacturer")
    facts.model = upper(dataset, "ManufacturerModelName")
    facts.kvp = number(dataset, "KVP")
    facts.exposure_mas = exposure_mas(dataset)
    facts.patient_position = upper(dataset, "PatientPosition")
    facts.acquired = (text(dataset, "AcquisitionDate") or text(dataset, "StudyDate"))[:8]
    facts.lossy = lossy(dataset)
    facts.burned_in_text = burned_in(dataset)


def description(dataset: Dataset) -> str:
    """Return the words of the descriptions, upper case, each once."""
    names = ("SeriesDescription", "ProtocolName", "StudyDescription")
    words = " ".join(upper(dataset, name) for name in names).replace("[CLEANED]", " ").split()
    return " ".join(dict.fromkeys(word for word in words if word != "[C]"))


def part_of(dataset: Dataset) -> str:
    """Return the body part, as `body_parts` names it, from attribute, code or description."""
    region = meaning(dataset, "AnatomicRegionSequence")
    if not region:
        shared = first(dataset, "SharedFunctionalGroupsSequence")
        region = meaning(first(shared, "FrameAnatomySequence"), "AnatomicRegionSequence")
    examined = upper(dataset, "BodyPartExamined")
    described = (upper(dataset, name) for name in ("SeriesDescription", "ProtocolName"))
    return body_part(examined, region, *described, upper(dataset, "StudyDescription"))


def view_of(dataset: Dataset) -> str:
    """Return the view of a projection: "PA", "AP", "LL", "RL", "LAT", "OBL" or as stated."""
    stated = upper(dataset, "ViewPosition")
    if stated:
        return _view(stated) or stated
    if coded := meaning(dataset, "ViewCodeSequence"):
        return _view(coded) or coded
    words = description(dataset)
    tokens = set(re.findall(r"[A-Z]+", words))
    named = next((view for view in ("PA", "AP", "LL", "RL", "LAT", "OBL") if view in tokens), "")
    return named or next((view for word, view in VIEW_WORDS.items() if word in words), "")


def _view(stated: str) -> str:
    return next((view for words, view in VIEWS.items() if words in stated), "")


def laterality_of(dataset: Dataset) -> str:
    """Return "L", "R", "B" (both), or "" when no side is stated."""
    for name in ("ImageLaterality", "FrameLaterality", "Laterality"):
        stated = upper(dataset, name)
        if stated[:1] in ("L", "R", "B") and stated:
            return stated[:1]
    for region in items(dataset, "AnatomicRegionSequence"):
        side = meaning(region, "AnatomicRegionModifierSequence")
        if side in ("LEFT", "RIGHT", "BILATERAL", "RIGHT AND LEFT"):
            return "B" if side == "RIGHT AND LEFT" else side[0]
    words = set(description(dataset).split())
    sides = {"L": {"LEFT", "LT"}, "R": {"RIGHT", "RT"}}
    found = [side for side, names in sides.items() if names & words]
    return found[0] if len(found) == 1 else ""


def age_years(dataset: Dataset) -> float | None:
    """Return the age at the study, years (PS3.5 6.2, AS), or None."""
    stated = re.fullmatch(r"(\d{3})([DWMY])", upper(dataset, "PatientAge"))
    return round(int(stated[1]) * YEARS[stated[2]], 3) if stated else None


def sex_of(dataset: Dataset) -> str | None:
    """Return "M", "F", "O" or None."""
    stated = upper(dataset, "PatientSex")
    return stated if stated in SEXES else None


def exposure_mas(dataset: Dataset) -> float | None:
    """Return tube current times time, mAs, or None."""
    if (stated := number(dataset, "ExposureInmAs")) is not None:
        return stated
    if (micro := number(dataset, "ExposureInuAs")) is not None:
        return micro / 1000
    if (whole := number(dataset, "Exposure")) is not None:
        return whole
    current, time = number(dataset, "XRayTubeCurrent"), number(dataset, "ExposureTime")
    return current * time / 1000 if current is not None and time is not None else None


def lossy(dataset: Dataset) -> bool | None:
    """Return whether the pixels went through lossy compression; None: not stated."""
    stated = text(dataset, "LossyImageCompression")
    return {"00": False, "01": True}.get(stated)


def burned_in(dataset: Dataset) -> bool | None:
    """Return what the header says of text in the pixels; None: nothing."""
    return {"YES": True, "NO": False}.get(upper(dataset, "BurnedInAnnotation"))


def _phase(words: str) -> str:
    found = [phase for phase in PHASES if phase in words]
    found += [phase for word, phase in PHASES_ZH.items() if word in words]
    return found[0] if found else ""
