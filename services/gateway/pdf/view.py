"""Everything the template shows, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.gateway.conclusion import lines_of
from services.gateway.pdf import findings, origin, results, summary, together
from services.gateway.pdf.glyphs import Fitting
from services.gateway.pdf.resources import Json, extensions, of_type
from services.gateway.pdf.words import Language, words

View = dict[str, Any]


def view(bundle: Json, images: Mapping[str, bytes], language: Language) -> View:
    """Return the document's content, every text fit for the fonts."""
    report = of_type(bundle, "DiagnosticReport")[0]
    imaging = findings.rows(bundle, language)
    labs = results.results(bundle, language)
    signer, missing = origin.signature(report), _missing(report)
    shown = {
        "language": language,
        "signed": bool(signer),
        "banner": _banner(report, signer, language),
        "header": origin.header(bundle, report, language),
        "critical": [row for row in labs if row["level"] == "critical" and not row["rejected"]],
        "missing": missing,
        "conclusion": _conclusion(report, missing),
        "imaging": imaging,
        "images": findings.images(bundle, images, imaging),
        "labs": labs,
        "scores": results.scores(bundle, language),
        "risks": results.risks(bundle, language),
        "suggestions": together.suggestions(bundle, language),
        "compared": together.compared(bundle, language),
        "summary": summary.summary(bundle, language),
        "models": origin.models(bundle),
        "steps": origin.steps(report, language),
    }
    fitting = Fitting()
    made: View = fitting.fit(shown)
    made["w"] = words(language)
    made["replaced"] = ""
    if fitting.replaced:
        made["replaced"] = words(language)["replaced"].format(characters=", ".join(fitting.names()))
    return made


def _banner(report: Json, signer: str, language: Language) -> str:
    named = words(language)
    if not signer:
        return named["unsigned"]
    time = origin.moment(str(report.get("issued", "")))
    return named["signed-by"].format(name=signer, time=time)


def _conclusion(report: Json, missing: list[str]) -> list[dict[str, str]]:
    """Return the conclusion without what stands above it in a box of its own.

    That is its first line, which the banner says too (docs/report.md), and what is missing.
    """
    _, _, below = str(report.get("conclusion", "")).partition("\n")
    kept = "\n".join(line for line in below.split("\n") if line not in missing)
    return [{"lead": line.lead, "rest": line.rest} for line in lines_of(kept)]


def _missing(report: Json) -> list[str]:
    found = [*extensions(report, "part"), *extensions(report, "set-aside")]
    return [str(part["message"]) for part in found if part.get("message")]
