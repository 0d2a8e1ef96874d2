"""Imaging findings in the language of radiology reports, each sentence from a measured fact."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.kernel.ucum import readable
from services.reporting import tables
from services.reporting.elements import rounded
from services.reporting.words import Language, has, listed, say, stated, term

FINDINGS, IMPRESSION, RECOMMENDATION, REMARK = "findings", "impression", "recommendation", "remark"
ALERT, UNSAID = "alert", "unsaid"
"""Above everything else; and what serves the next reading alone, not a reader."""
SECTIONS = (FINDINGS, IMPRESSION, RECOMMENDATION, REMARK)
_SECTION = {row["key"]: row["section"] for row in tables.rows("sections")}
_BY_ENDING = {
    RECOMMENDATION: ("-recommend", "-recommendation", "-stat", "-follow-up"),
    REMARK: ("-limits", "-meaning", "-unknown"),
}
_PLACES = {
    "mm": 1,
    "mL": 1,
    "mm3": 0,
    "mm2": 1,
    "um2": 0,
    "%": 1,
    "[hnsf'U]": 0,
    "d": 0,
    "/mm2": 0,
}
"""Decimal places by UCUM unit; of others two."""
_SHOWN = {"[hnsf'U]": "HU", "mm3": "mm³", "mm2": "mm²", "um2": "µm²", "/mm2": "/mm²", "mL": "ml"}
_SIDES = {pb.LATERALITY_LEFT: "left", pb.LATERALITY_RIGHT: "right"}
_PROPER = ("brock", "fleischner", "lung-rads")
"""Qualities that are called after somebody or something."""
_SEPARATOR: dict[Language, str] = {"zh": "，", "en": "; "}


def section(statement: pb.Statement) -> str:
    """Return which part of the report a statement belongs to."""
    if statement.key in _SECTION:
        return _SECTION[statement.key]
    for name, endings in _BY_ENDING.items():
        if statement.key.endswith(endings):
            return name
    return IMPRESSION


def sentences(language: Language, statements: Sequence[pb.Statement], wanted: str) -> list[str]:
    """Return the statements of one part of the report."""
    chosen = [each for each in statements if section(each) == wanted]
    return [stated(language, each.key, each.facts) for each in chosen]


def of_finding(language: Language, finding: pb.Finding, wanted: str) -> list[str]:
    """Return a finding's own statements of one part of the report, each with its name."""
    name = label(language, finding_name(language, finding))
    return [
        say(language, "named-statement", name=name, said=said)
        for said in sentences(language, finding.statements, wanted)
    ]


def share(language: Language, probability: float) -> str:
    """Return how many of a hundred such are so, in words that round to none or all never."""
    if probability < 0.005:
        return say(language, "under-one")
    if probability > 0.995:
        return say(language, "over-99")
    return say(language, "about", count=f"{probability * 100:.0f}")


def percent(probability: float) -> Decimal:
    """Return a probability in percent, to one decimal place."""
    return rounded(probability * 100, 1)


def number(value: float, ucum: str) -> Decimal:
    """Return a measured value with the decimal places that its unit is reported to."""
    if ucum == "1":
        return rounded(value, 0 if float(value).is_integer() else 2)
    return rounded(value, _PLACES.get(ucum, 2))


def unit(ucum: str) -> str:
    """Return a unit as people write it."""
    return _SHOWN.get(ucum) or readable(ucum)


def quantity(language: Language, measure: pb.Measure) -> str:
    """Return a measured value with its unit, and its interval where one is known."""
    written = say(language, "unit-d") if measure.unit == "d" else unit(measure.unit)
    between = "" if written.startswith(("%", "/", "天")) else " "
    shown = f"{number(measure.value, measure.unit)}{between}{written}".strip()
    if measure.HasField("low") and measure.HasField("high"):
        low, high = number(measure.low, measure.unit), number(measure.high, measure.unit)
        facts = {"value": shown, "low": low, "high": high, "unit": written, "between": between}
        return say(language, "measure-interval", **facts)
    return shown


def finding_name(language: Language, finding: pb.Finding) -> str:
    """Return what a finding is called, with its number: "lung nodule 1"."""
    kind = term(language, f"finding-{finding.kind}")
    counted = finding.finding_id.rpartition("-")[2]
    name = say(language, "finding-name", name=kind, number=f" {counted}").strip()
    return name.replace("  ", " ") if language == "en" else name.replace(" ", "")


def place(language: Language, finding: pb.Finding) -> str:
    """Return where a finding lies, in words; empty when nothing is known."""
    side = _SIDES.get(finding.laterality, "")
    site = term(language, f"site-{finding.site}") if finding.site else ""
    if finding.function == pb.FUNCTION_NODULES:
        organ = say(language, f"place-{side}-lung" if side else "place-lung")
        return say(language, "place-with-site", place=organ, site=site) if site else organ
    words = say(language, f"side-{side}") if side else ""
    if site and words:
        return say(language, "side-with-site", side=words, site=site)
    if finding.function == pb.FUNCTION_HAEMORRHAGE and not site:
        site = say(language, "place-brain")
        return say(language, "side-with-site", side=words, site=site) if words else site
    return site or words


def line(language: Language, finding: pb.Finding) -> str:
    """Return a finding in one sentence: where, how large, what it is like, how sure."""
    facts = [place(language, finding), *_sizes(language, finding.measures)]
    facts += [said for each in finding.qualities if (said := quality(language, each))]
    if finding.place.first_slice_index < finding.place.last_slice_index:
        facts.append(say(language, "finding-slice", slice=finding.place.slice_index + 1))
    certainty = {
        "certainty": percent(finding.probability),
        "share": share(language, finding.probability),
    }
    facts.append(say(language, "certainty-line", **certainty))
    said = _SEPARATOR[language].join(fact for fact in facts if fact)
    name = label(language, finding_name(language, finding))
    return say(language, "finding-line", name=name, facts=said)


def alert(language: Language, finding: pb.Finding) -> str:
    """Return an urgent finding in a line: where, how large, of which type; the rest is below."""
    sizes = {each.name: each for each in finding.measures}
    size = [sizes["volume"]] if "volume" in sizes else list(finding.measures)[:2]
    types = [each for each in finding.qualities if each.name == "type" and each.value]
    facts = [place(language, finding), *_sizes(language, size)]
    facts += [value_name(language, each) for each in types]
    said = _SEPARATOR[language].join(fact for fact in facts if fact)
    name = label(language, finding_name(language, finding))
    return say(language, "urgent-finding", name=name, facts=said)


def label(language: Language, name: str) -> str:
    """Return a name as it stands at the head of a line or beside a value."""
    return name[:1].upper() + name[1:] if language == "en" else name


def quality(language: Language, each: pb.Quality) -> str:
    """Return a property in words, with its chance where one was estimated."""
    name = term(language, f"quality-{each.name}")
    name = name if each.name in _PROPER else _within(language, name)
    chance = share(language, each.probability) if each.HasField("probability") else ""
    if not each.value:
        return say(language, "chance-line", name=name, share=chance) if chance else ""
    value = value_name(language, each)
    said = say(language, "quality-line", name=name, value=value)
    if not chance:
        return said
    # Of the malignancy the probability is that of a malignant one, whatever it is called.
    key = f"quality-chance-{each.name}" if each.name == "malignancy" else "quality-chance"
    return say(language, key, said=said, share=chance)


def value_name(language: Language, each: pb.Quality) -> str:
    """Return the value of a property in words."""
    key = f"value-{each.name}-{each.value}"
    if has(key):
        return term(language, key)
    if each.value in ("present", "absent"):
        return say(language, f"value-{each.value}")
    return each.value.replace("-", " ") if each.value.islower() else each.value


def measured(language: Language, measures: Sequence[pb.Measure]) -> str:
    """Return measured values in words, between commas."""
    return listed(language, _sizes(language, measures))


def _sizes(language: Language, measures: Sequence[pb.Measure]) -> list[str]:
    """Return each measure in words; long and short axis as one size."""
    by_name = {each.name: each for each in measures}
    said: list[str] = []
    long, short = by_name.get("long-axis"), by_name.get("short-axis")
    if long and short and long.unit == short.unit:
        sizes = {"long": number(long.value, long.unit), "short": number(short.value, short.unit)}
        said.append(say(language, "size-line", **sizes, unit=unit(long.unit)))
        measures = [each for each in measures if each.name not in ("long-axis", "short-axis")]
    for each in measures:
        name = _within(language, term(language, f"measure-{each.name}"))
        said.append(say(language, "measure-line", name=name, value=quantity(language, each)))
    return said


def _within(language: Language, name: str) -> str:
    """Return a term as it stands within a sentence."""
    return name[:1].lower() + name[1:] if language == "en" and name[1:].islower() else name
