"""The report as PDF/A-3: complete, attached, safe from its own content."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from services.gateway import attachments, signing
from services.gateway.pdf import findings, render, render_bundle
from services.gateway.pdf.glyphs import coverage
from services.gateway.pdf.render import sources, typeset
from services.gateway.pdf.view import view
from services.gateway.pdf.words import words
from services.kernel import fhir

ROOT = Path(__file__).parents[2]
BLUE = (0, 0, 255)
SIGNED_AT = "2026-11-24T05:10:00Z"


def png(side: int = 512) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (side, side), BLUE).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def report() -> Callable[[str], dict[str, Any]]:
    """Return the function that reads the example Bundle with the sample patient's identity."""

    def read(language: str) -> dict[str, Any]:
        path = ROOT / "tests" / "reporting" / "data" / f"report_bundle_{language}.json"
        bundle: dict[str, Any] = fhir.parse(path.read_bytes())
        for name in ("patient", "service_request"):
            resource = json.loads((ROOT / "samples" / f"{name}.json").read_text("utf-8"))
            bundle["entry"].append({"resource": resource})
        return bundle

    return read


def key_images(bundle: dict[str, Any], content: bytes) -> dict[str, bytes]:
    media = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Media"]
    return {each["content"]["url"].partition("/")[2]: content for each in media}


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def flat(text: str) -> str:
    return "".join(text.split())


@pytest.mark.requirement("DX-REP-11")
@pytest.mark.parametrize(
    ("language", "expected"),
    [
        (
            "zh",
            ["仅供参考", "未签名", "演示患者", "DEMO-ACC-0001", "钾6.80mmol/L",
             "左肺下叶", "31.2×24.9",
             "咳嗽3周，伴体重下降。", "lung-nodule-scorer", "17.0秒", "层间距不均匀",
             "综合提示", "需考虑：肺癌", "不支持："],
        ),
        (
            "en",
            ["Forreferenceonly", "Notsigned", "DEMOFICTIONAL-PATIENT", "Potassium6.80mmol/L",
             "lowerlobe,leftlung", "31.2×24.9", "Coughfor3weeks", "G3b", "17.0s", "7.5",
             "Toconsider", "Consider:Lungcancer", "Against:"],
        ),
    ],
)  # fmt: skip
def test_it_shows_what_the_report_says(
    report: Callable[[str], dict[str, Any]], language: Any, expected: list[str]
) -> None:
    bundle = report(language)
    shown = flat(text_of(render(bundle, key_images(bundle, png()), language)))
    assert [each for each in expected if each not in shown] == []


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
def test_critical_results_stand_before_everything_else(
    report: Callable[[str], dict[str, Any]],
) -> None:
    shown = text_of(render(report("en"), {}, "en"))
    assert shown.index("Critical results") < shown.index("Conclusion")
    table = shown[shown.index("Laboratory results") :]
    places = [table.index(each) for each in ("Potassium", "Creatinine", "Troponin", "Sodium")]
    assert places == sorted(places)


@pytest.mark.requirement("DX-REP-11")
def test_it_is_pdf_a_3_with_the_fhir_data_attached(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("zh")
    images = key_images(bundle, png())
    for id_, content in images.items():
        bundle["entry"].append({"resource": attachments.binary(id_, "image/png", content)})
    reader = PdfReader(io.BytesIO(render_bundle(bundle)))
    metadata = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    [attached] = reader.attachments["fhir-report.json"]
    assert fhir.dump(fhir.parse(attached)) == fhir.dump(
        {**bundle, "entry": bundle["entry"][: -len(images)]}
    )


@pytest.mark.requirement("DX-REP-12")
def test_values_are_never_parsed_as_markup(report: Callable[[str], dict[str, Any]]) -> None:
    hostile = '#panic("x") *b* $x$ @ref <l> `c` // \\n #include "view.json" = H'
    bundle = report("zh")
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"] = [{"text": hostile}]
        if entry["resource"]["resourceType"] == "DiagnosticReport":
            entry["resource"]["conclusion"] = f"first\n{hostile}"
    assert flat(text_of(render(bundle, {}, "zh"))).count(flat(hostile)) == 2


@pytest.mark.requirement("DX-REP-12")
def test_a_character_without_a_glyph_is_replaced_and_named(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("zh")
    _named(bundle, "张㛃𠮷Ⅱ😀\x00\u200b")
    shown = text_of(render(bundle, {}, "zh"))
    assert "张〓〓II〓" in shown
    assert "U+1F600, U+20BB7, U+36C3" in shown


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(max_size=60))
def test_no_text_can_prevent_the_report(report: Callable[[str], dict[str, Any]], text: str) -> None:
    bundle = report("en")
    _named(bundle, text)
    assert render(bundle, {}, "en").startswith(b"%PDF")


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
def test_a_broken_image_is_named_and_the_other_is_shown(
    report: Callable[[str], dict[str, Any]], broken: bytes
) -> None:
    bundle = report("en")
    images = key_images(bundle, png())
    images[next(iter(images))] = broken
    pdf = render(bundle, images, "en")
    assert text_of(pdf).count("The image cannot be shown") == 1
    assert sum(len(page.images) for page in PdfReader(io.BytesIO(pdf)).pages) == 1


@pytest.mark.requirement("DX-REP-11")
def test_a_signed_report_names_who_signed_and_what_was_said(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("en")
    ids = [r["id"] for r in (e["resource"] for e in bundle["entry"]) if signing.finding_id(r)]
    verdicts = dict.fromkeys(ids, ("agree", "")) | {ids[1]: ("disagree", "")}
    signature = signing.Signature(
        "p1", "Dr Demo", "", SIGNED_AT, False, "en", "Follow up.", verdicts
    )
    signed = signing.sign(bundle, signature, dict.fromkeys(ids, "a finding"))
    shown = text_of(render(signed, {}, "en"))
    assert "Reviewed and signed by Dr Demo, 2026-11-24 05:10 UTC" in shown
    assert "Not signed" not in shown
    assert "For reference only" in shown
    assert "disagrees" in shown


def test_the_same_report_gives_the_same_bytes(report: Callable[[str], dict[str, Any]]) -> None:
    bundle = report("en")
    assert render(bundle, {}, "en") == render(bundle, {}, "en")


def test_a_report_issued_between_two_seconds_is_set(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("en")
    bundle["entry"][0]["resource"]["issued"] = "2026-11-24T03:00:30.157Z"
    assert "For reference only" in text_of(render(bundle, {}, "en"))


def test_a_report_without_patient_images_or_findings_is_still_one(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("zh")
    bundle["entry"] = bundle["entry"][:1]
    assert "未签名" in text_of(render(bundle, {}, "zh"))


def test_the_bold_font_draws_every_word_of_the_document() -> None:
    used = {ord(c) for language in ("zh", "en") for word in words(language).values() for c in word}
    assert used <= coverage("Bold")
    assert used <= coverage("Regular")


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_the_coverage_is_that_of_the_font(weight: str) -> None:
    fonts = pytest.importorskip("fontTools.ttLib", reason="fonttools is not installed")
    path = ROOT / "services" / "gateway" / "pdf" / "fonts" / f"NotoSansSC-{weight}.ttf"
    assert coverage(weight) == set(fonts.TTFont(path).getBestCmap())


def _named(bundle: dict[str, Any], name: str) -> None:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"] = [{"text": name}]
