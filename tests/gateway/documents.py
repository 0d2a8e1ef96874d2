"""A report to be set, and what tests read of a document."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image
from pypdf import PdfReader

from services.kernel import fhir

ROOT = Path(__file__).parents[2]

BLUE = (0, 0, 255)

SIGNED_AT = "2026-11-24T05:10:00Z"


def png(side: int = 512) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (side, side), BLUE).save(made, "PNG")
    return made.getvalue()


def example(language: str) -> dict[str, Any]:
    """Return the example Bundle with the sample patient's identity."""
    path = ROOT / "tests" / "reporting" / "data" / f"report_bundle_{language}.json"
    bundle: dict[str, Any] = fhir.parse(path.read_bytes())
    for name in ("patient", "service_request"):
        resource = json.loads((ROOT / "samples" / f"{name}.json").read_text("utf-8"))
        bundle["entry"].append({"resource": resource})
    return bundle


def key_images(bundle: dict[str, Any], content: bytes) -> dict[str, bytes]:
    media = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Media"]
    return {each["content"]["url"].partition("/")[2]: content for each in media}


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def flat(text: str) -> str:
    return "".join(text.split())


def named(bundle: dict[str, Any], name: str) -> None:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["name"] = [{"text": name}]
