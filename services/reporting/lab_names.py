"""What a laboratory result is called, and how it is written in a sentence."""

from __future__ import annotations

from dxmesh.labs.v1 import lab_findings_pb2 as pb

from services.kernel.ucum import readable
from services.reporting.elements import text
from services.reporting.words import Language, say

_ANSWERS = {say("zh", f"ordinal-{name}"): f"ordinal-{name}" for name in ("positive", "negative")}


def name_of(language: Language, result: pb.LabResult) -> str:
    """Return a result's name in a language, else as it came."""
    own = result.display_zh if language == "zh" else result.display_en
    return (
        text(own)
        or text(result.source_display)
        or say(language, "unnamed-result", id=result.loinc_code or result.observation_id)
    )


def shown(result: pb.LabResult, language: Language) -> str:
    """Return the value as it came, with its unit as people write it.

    An answer in Chinese stays as it came; for a reader of English its meaning stands beside it.
    """
    value = text(result.value_text)
    key = _ANSWERS.get(value)
    if key and language == "en":
        value = say(language, "with-facts", words=value, facts=say(language, key))
    return text(f"{value} {readable(text(result.unit_text))}")


def item(language: Language, result: pb.LabResult) -> str:
    """Return a result in a sentence: name, value with unit, flag."""
    flag = say(language, f"flag-{result.flag}") if result.flag > pb.FLAG_NORMAL else ""
    value = shown(result, language)
    return say(language, "lab-item", name=name_of(language, result), value=value, flag=flag)
