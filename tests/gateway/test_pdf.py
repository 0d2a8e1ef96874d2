"""The report as PDF/A-3: complete, attached, safe from its own content."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from services.gateway import attachments, signing
from services.gateway.pdf import render, render_bundle
from services.gateway.pdf.glyphs import coverage
from services.gateway.pdf.words import words
from services.kernel import fhir
from tests.gateway.documents import (
    ROOT,
    SIGNED_AT,
    example,
    flat,
    key_images,
    named,
    png,
    text_of,
)


@pytest.fixture
def report() -> Callable[[str], dict[str, Any]]:
    """Return the function that reads the example."""
    return example


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
def test_a_character_without_a_glyph_is_replaced_andnamed(
    report: Callable[[str], dict[str, Any]],
) -> None:
    bundle = report("zh")
    named(bundle, "张㛃𠮷Ⅱ😀\x00\u200b")
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
    named(bundle, text)
    assert render(bundle, {}, "en").startswith(b"%PDF")


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
