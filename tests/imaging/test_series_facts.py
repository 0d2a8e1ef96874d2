"""What headers say for routing: body part, age, kernel, contrast, also after de-identification."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from services.anonymization.instance import Deidentifier
from services.anonymization.pseudonyms import Pseudonyms
from services.imaging.series import archive, refusals
from services.imaging.series.body_parts import body_part
from services.imaging.series.facts import Facts
from services.imaging.series.understand import understand
from services.kernel.crypto import KeyedHash

TOLD = pytest.mark.requirement("DX-IMG-28")


def facts_of(phantom: ModuleType, datasets: list[Any]) -> Facts:
    facts = Facts()
    understand(archive.held(phantom.archive(datasets)), facts)
    return facts


def described(phantom: ModuleType) -> list[Any]:
    datasets = phantom.blank(slices=5)
    for one in datasets:
        one.PatientAge, one.PatientSex = "061Y", "F"
        one.BodyPartExamined, one.SeriesDescription = "CHEST", "Thorax arterial 1.0 B30f"
        one.StudyDescription, one.ProtocolName = "CT CHEST", "Thorax routine"
        one.ConvolutionKernel, one.KVP = "B30f", 120
        one.XRayTubeCurrent, one.ExposureTime = 200, 500
        one.Manufacturer, one.ManufacturerModelName = "SIEMENS", "Sensation 64"
        one.ContrastBolusAgent, one.ContrastBolusVolume = "Iopamidol", 80
        one.PatientPosition, one.StudyDate = "HFS", "20240131"
        one.BurnedInAnnotation, one.LossyImageCompression = "NO", "00"
    return list(datasets)


@TOLD
def test_headers_are_told(phantom: ModuleType) -> None:
    facts = facts_of(phantom, described(phantom))
    assert (facts.body_part, facts.modality, facts.kernel) == ("CHEST", "CT", "B30f")
    assert (facts.age_years, facts.sex, facts.patient_position) == (61.0, "F", "HFS")
    assert (facts.thickness_mm, facts.spacing_mm, facts.pixel_mm) == (2.5, 2.5, 0.8)
    assert (facts.contrast, facts.phase) == (True, "ARTERIAL")
    assert (facts.kvp, facts.exposure_mas) == (120.0, 100.0)
    assert (facts.manufacturer, facts.model) == ("SIEMENS", "SENSATION 64")
    assert facts.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert (facts.burned_in_text, facts.lossy) == (False, False)
    assert (facts.files, facts.slices, facts.rows, facts.columns) == (5, 5, 16, 16)


@TOLD
def test_what_routing_needs_survives_deidentification(phantom: ModuleType) -> None:
    plain = facts_of(phantom, described(phantom))
    deidentifier = Deidentifier(Pseudonyms(KeyedHash(b"k" * 32), "somebody"))
    files = [deidentifier.instance(phantom.written(one)) for one in described(phantom)]
    left = facts_of(phantom, files)
    for name in (
        *("body_part", "modality", "kernel", "age_years", "sex", "patient_position", "contrast"),
        *("thickness_mm", "phase", "kvp", "exposure_mas", "manufacturer", "image_type", "rows"),
        *("burned_in_text", "lossy", "spacing_mm", "sop_class"),
    ):
        assert getattr(left, name) == getattr(plain, name), name
    assert left.series_uid.startswith("2.25.")
    assert left.acquired != plain.acquired == "20240131"


@TOLD
@pytest.mark.parametrize(
    ("age", "years"), [("003D", 0.008), ("026W", 0.498), ("018M", 1.5), ("090Y", 90.0), ("x", None)]
)
def test_age_in_any_unit(phantom: ModuleType, age: str, years: float | None) -> None:
    datasets = phantom.blank(slices=3)
    for one in datasets:
        one.PatientAge = age
    assert facts_of(phantom, datasets).age_years == years


@TOLD
@pytest.mark.parametrize(
    ("agent", "extra", "stated"),
    [
        ("Omnipaque", {}, True),
        ("NONE", {}, False),
        ("", {}, False),
        (None, {}, None),
        (None, {"ContrastBolusVolume": 90}, True),
        ("", {"ContrastBolusRoute": "IV"}, True),
    ],
)
def test_contrast_is_stated_denied_or_not_said(
    phantom: ModuleType, agent: str | None, extra: dict[str, Any], stated: bool | None
) -> None:
    datasets = phantom.blank(slices=3)
    for one in datasets:
        if agent is not None:
            one.ContrastBolusAgent = agent
        for name, value in extra.items():
            setattr(one, name, value)
    assert facts_of(phantom, datasets).contrast is stated


@TOLD
@pytest.mark.parametrize(
    ("texts", "part"),
    [
        (("CHEST",), "CHEST"),
        (("", "Brain"), "HEAD"),
        (("", "", "CT Head w/o contrast"), "HEAD"),
        (("HEADNECK",), "HEAD-NECK"),
        (("TSPINE",), "THORACIC-SPINE"),
        (("", "", "胸部平扫"), "CHEST"),
        (("", "", "头颅CT"), "HEAD"),
        (("", "", "胸椎侧位"), "THORACIC-SPINE"),
        (("LOWER_LEG",), "LEG"),
        (("", "Tibia and fibula"), "LEG"),
        (("", "", "Chest Abdomen Pelvis"), "CHEST-ABDOMEN"),
        (("", "", "forehead lamp"), ""),
        (("", "", ""), ""),
    ],
)
def test_body_part_has_one_name(texts: tuple[str, ...], part: str) -> None:
    assert body_part(*texts) == part


@TOLD
def test_facts_are_told_of_a_series_that_is_refused(phantom: ModuleType) -> None:
    datasets = described(phantom)[:2]
    facts = Facts()
    with pytest.raises(refusals.TooFewSlices):
        understand(archive.held(phantom.archive(datasets)), facts)
    assert (facts.modality, facts.body_part, facts.slices) == ("CT", "CHEST", 2)
    for one in datasets:
        one.Modality = "MR"
    facts = Facts()
    with pytest.raises(refusals.OtherModality):
        understand(archive.held(phantom.archive(datasets)), facts)
    assert (facts.modality, facts.series_uid) == ("MR", "2.25.200")
