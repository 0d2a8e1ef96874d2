"""Typesetting with typst: a template, the content as JSON beside it, the fonts in this folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any, Literal

import typst

from services.gateway.pdf import findings
from services.gateway.pdf.resources import Json, of_type
from services.gateway.pdf.view import View, view
from services.gateway.pdf.words import Language, language_of
from services.kernel import fhir

STANDARD = "a-3a"
"""PDF/A-3 with tags: files may be attached, and a screen reader can follow the structure."""
ATTACHMENT = "fhir-report.json"
_NOT_ATTACHED = ("image/png", "application/pdf")
_ONE_IMAGE = b"""
#set page(width: 9pt, height: 9pt, margin: 0pt)
#image(bytes(json("images.json").at("image")), format: "png", width: 9pt)
"""


def render(report_bundle: Json, images: Mapping[str, bytes], language: Language) -> bytes:
    """Return the report as PDF/A-3.

    Parameters
    ----------
    report_bundle : the Bundle with identity restored (docs/report.md)
    images : Binary id → PNG of the key images; one that is missing or broken is named in
        the document instead of shown
    """
    content = view(report_bundle, images, language)
    for image in content["images"]:
        if image["file"] and not _draws(images[image["binary"]]):
            image["file"] = ""
    issued = _issued(report_bundle)
    made: bytes = typeset(sources(content, images, fhir.dump(_attached(report_bundle))), issued)
    return made


def render_bundle(report_bundle: Json) -> bytes:
    """Return the report as PDF/A-3, in its own language, with the images it carries."""
    report = of_type(report_bundle, "DiagnosticReport")[0]
    language = language_of(str(report.get("language", "")))
    return render(report_bundle, findings.embedded(report_bundle), language)


def sources(content: View, images: Mapping[str, bytes], attached: bytes) -> dict[str, bytes]:
    """Return the files typst sets: the template, its content, the images, the attachment.

    The images are lists of byte values, because files beside a template must be text.
    """
    shown = [image for image in content["images"] if image["file"]]
    pixels = {image["file"]: list(images[image["binary"]]) for image in shown}
    return {
        "main.typ": files("services.gateway.pdf").joinpath("report.typ").read_bytes(),
        "view.json": fhir.dump(content),
        "images.json": fhir.dump(pixels),
        ATTACHMENT: attached,
    }


def typeset(
    given: Mapping[str, bytes],
    issued: datetime,
    *,
    form: Literal["pdf", "png", "svg"] = "pdf",
    ppi: float = 72.0,
) -> Any:
    """Return the document; as PNG or SVG one `bytes`, or a list when it has several pages."""
    standards = [STANDARD] if form == "pdf" else []
    with as_file(files("services.gateway.pdf").joinpath("fonts")) as fonts:
        # A dict of files is what the wheel documents; its type stub knows one file alone.
        return typst.compile(  # type: ignore[call-overload]
            dict(given),
            font_paths=[str(fonts)],
            ignore_system_fonts=True,
            format=form,
            ppi=ppi,
            pdf_standards=standards,
            timestamp=issued,
        )


def _draws(png: bytes) -> bool:
    """Tell whether typst can decode an image: one that it cannot would cost the report."""
    alone = {"main.typ": _ONE_IMAGE, "images.json": fhir.dump({"image": list(png)})}
    try:
        typeset(alone, datetime(1970, 1, 1, tzinfo=UTC), form="png")
    except typst.TypstError:
        return False
    return True


def _attached(bundle: Json) -> dict[str, Any]:
    """Return the Bundle without pictures: they are on the pages, and the PDF is this file."""
    kept = [
        entry
        for entry in bundle["entry"]
        if entry["resource"].get("contentType") not in _NOT_ATTACHED
    ]
    return {**bundle, "entry": kept}


def _issued(bundle: Json) -> datetime:
    """Return when the report was issued, to the second as PDF has it.

    The same report gives the same bytes.
    """
    text = str(of_type(bundle, "DiagnosticReport")[0].get("issued", ""))
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
    except ValueError:
        return datetime(1970, 1, 1, tzinfo=UTC)
