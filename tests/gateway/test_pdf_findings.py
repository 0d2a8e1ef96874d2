"""Findings of images in the document: their measures, boxes and pictures."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from services.gateway.pdf import findings, render
from services.gateway.pdf.render import sources, typeset
from services.gateway.pdf.view import view
from tests.gateway.documents import (
    BLUE,
    example,
    key_images,
    png,
    text_of,
)


@pytest.fixture
def report() -> Callable[[str], dict[str, Any]]:
    """Return the function that reads the example."""
    return example


def component(name: str, *, code: str = "own", quantity: Any = None, value: str = "") -> Any:
    made: dict[str, Any] = {"code": {"coding": [{"code": code}], "text": name}}
    if quantity is not None:
        number, unit = quantity
        made["valueQuantity"] = {"value": number, "unit": unit, "code": unit}
    else:
        made["valueCodeableConcept"] = {"text": value}
    return made


@pytest.mark.requirement("DX-REP-11")
def test_every_kind_of_finding_has_its_measures_and_properties() -> None:
    shift = component("Midline shift", quantity=(6.2, "mm"))
    ends = {"low": {"value": 5.1}, "high": {"value": 7.3}}
    shift["extension"] = [{"url": "interval", "valueRange": ends}]
    urgent = {"code": {"coding": [{"code": "urgency"}]}}
    urgent["valueCodeableConcept"] = {"coding": [{"code": "RID49480"}]}
    given = {
        "Lung nodule 1": [
            component("Long axis", code="103339001", quantity=(27.8, "mm")),
            component("Short axis", code="103340004", quantity=(26.3, "mm")),
            component("Model certainty", code="112111", quantity=(99.3, "%")),
            component("Consistency", value="solid"),
        ],
        "Intracranial haemorrhage: marked": [
            shift,
            component("Epidural", code="type-epidural", quantity=(23.7, "%")),
            urgent,
        ],
        "Suspected fracture 1": [component("Width of the marked area", quantity=(13.7, "mm"))],
        "Region suspicious for tumour 1": [
            component("Long axis", code="103339001", quantity=(2.1, "mm")),
            component("Nuclei", quantity=(566, "1")),
            component("Type", value="adenocarcinoma"),
        ],
    }
    entries = [
        {
            "resourceType": "Observation",
            "id": str(number),
            "category": [{"coding": [{"code": "imaging"}]}],
            "valueCodeableConcept": {"text": name},
            "component": parts,
        }
        for number, (name, parts) in enumerate(given.items())
    ]
    bundle = {"entry": [{"resource": each} for each in entries]}
    nodule, head, bone, slide = findings.rows(bundle, "en")
    assert nodule["measured"][0] == "27.8 × 26.3 mm"
    assert nodule["properties"] == ["Consistency: solid"]
    assert head["measured"] == ["Midline shift 6.2 mm (5.1–7.3)"]
    assert head["properties"] == ["urgent: check at once", "Epidural: 23.7 %"]
    assert bone["measured"] == ["Width of the marked area 13.7 mm"]
    assert slide["measured"] == ["Long axis 2.1 mm", "Nuclei 566"]
    assert [each["name"] for each in (nodule, head, bone, slide)] == list(given)


@pytest.mark.requirement("DX-REP-11")
def test_the_box_is_drawn_where_the_finding_lies(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("zh")
    images = key_images(bundle, png())
    content = view(bundle, images, "zh")
    for image in content["images"]:
        for box in image["boxes"]:
            box["number"] = ""
    content["images"] = content["images"][:1]
    pages = typeset(sources(content, images, b"{}"), datetime(2026, 1, 1, tzinfo=UTC), form="png")
    drawn = (Image.open(io.BytesIO(p)).convert("RGB") for p in pages)
    page = next(p for p in drawn if BLUE in {color for _, color in p.getcolors(1 << 24) or ()})
    pixels = page.load()
    assert pixels is not None
    everywhere = [(x, y) for x in range(page.width) for y in range(page.height)]
    blue = [place for place in everywhere if pixels[place] == BLUE]
    left, top = min(x for x, _ in blue), min(y for _, y in blue)
    right, bottom = max(x for x, _ in blue), max(y for _, y in blue)
    scale = (right - left + 1) / 512
    yellow = [
        ((x - left) / scale, (y - top) / scale)
        for x, y in everywhere
        if left < x < right and top < y < bottom and pixels[x, y][0] > 160
    ]
    sides = [f(each[i] for each in yellow) for i in (0, 1) for f in (min, max)]
    assert sides == pytest.approx([296, 356, 336, 396], abs=4)


@pytest.mark.requirement("DX-REP-12")
@pytest.mark.parametrize("broken", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + zlib.compress(b"x")])
def test_a_broken_image_isnamed_and_the_other_is_shown(
    report: Callable[[str], dict[str, Any]], broken: bytes
) -> None:
    bundle = report("en")
    images = key_images(bundle, png())
    images[next(iter(images))] = broken
    pdf = render(bundle, images, "en")
    assert text_of(pdf).count("The image cannot be shown") == 1
    assert sum(len(page.images) for page in PdfReader(io.BytesIO(pdf)).pages) == 1
