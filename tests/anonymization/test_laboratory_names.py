"""Printed names of analytes reach the analysis, and names of people do not.

`python -m tests.anonymization.test_laboratory_names` writes the list anew from the dictionary.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.anonymization import codes, fhir_rules, laboratory
from services.anonymization.fhir_rules import Rules
from services.anonymization.known import KnownStrings
from services.labs import matching, specimens
from services.labs.folding import fold

PAGE = Path(laboratory.__file__).with_name("laboratory_names.txt")
AROUND = ("测定", "检测", "定量", "定性", "检查", "计数")
HEAD = """# Names of analytes and specimens, folded, as the dictionary of the labs service has them.
# Made by `python -m tests.anonymization.test_laboratory_names`.
"""


def page() -> str:
    """Return the list as the dictionary has it."""
    words = {fold(word) for word, _ in specimens._WORDS}
    found = {*matching.NAMES, *words, *specimens._CODES, *AROUND}
    return HEAD + "".join(f"{name}\n" for name in sorted(found) if name and " " not in name)


def rules(*names: str) -> Rules:
    return Rules(KnownStrings(names=frozenset(names)), -10, "S1", {}, {"Specimen/s": "血清"})


def coded(**code: Any) -> Any:
    observation = {"resourceType": "Observation", "status": "final", "code": code}
    return fhir_rules.observation(observation, "lab-1", rules("李雷")).get("code")


@pytest.mark.requirement("DX-LDU-01")
def test_the_list_is_that_of_the_dictionary() -> None:
    assert PAGE.read_text("utf-8") == page(), f"run python -m {__name__}"


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    "name",
    [
        "谷丙转氨酶",
        "★白细胞计数(WBC)",
        "ALT",
        "肌酐测定",
        "血清钾",
        "Ｋ",
        "C-反应蛋白",
        "Hemoglobin",
        "γ-谷氨酰转移酶",
        "β2-微球蛋白(β2-MG)",
        "脂蛋白(a)",
        "钙离子(游离)",
        "白細胞計數",
    ],
)
def test_printed_names_stay(name: str) -> None:
    assert coded(text=name) == {"text": name}


@pytest.mark.requirement("DX-ID-07")
@pytest.mark.parametrize(
    "name",
    ["李雷", "李雷 钾", "Na Li", "张钾", "钾(王五)", "K 0042917", "Hg Fe Jin", ""],
)
def test_names_of_people_do_not(name: str) -> None:
    found = coded(text=name)
    assert not found or found == {"text": fhir_rules.REMOVED}


@pytest.mark.requirement("DX-LDU-01")
def test_every_name_of_the_dictionary_stays() -> None:
    """As the tables write it, with its Greek letters and brackets, not only as it is folded."""
    things = {entry.thing for entries in matching.NAMES.values() for entry in entries}
    names = [name for each in things for name in (each.name_en, each.name_zh)]
    assert [name for name in names if not laboratory.is_name(name)] == []


@pytest.mark.requirement("DX-LDU-01")
def test_every_unit_of_the_dictionary_stays() -> None:
    lines = (Path(matching.__file__).parent / "data" / "unit_aliases.tsv").read_text("utf-8")
    rows = [line.split("\t") for line in lines.splitlines() if line and line[0] != "#"][1:]
    assert [unit for row in rows for unit in row[:2] if not codes.is_unit(unit)] == []


@pytest.mark.requirement("DX-LDU-01")
def test_a_local_code_gives_its_name() -> None:
    local = {"system": "urn:hospital:lis", "code": "X17", "display": "谷丙转氨酶"}
    assert coded(coding=[local]) == {"text": "谷丙转氨酶"}
    assert coded(coding=[{"system": "urn:hospital:lis", "code": "ALT"}]) == {"text": "ALT"}
    public = {"system": "http://loinc.org", "code": "2823-3"}
    assert coded(coding=[public, local])["coding"] == [public]


@pytest.mark.requirement("DX-LDU-01")
@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"display": "尿液"}, {"display": "尿液"}),
        ({"reference": "Specimen/s"}, {"display": "血清"}),
        ({"display": "李雷的血"}, None),
        ({"reference": "Specimen/other"}, None),
    ],
)
def test_the_specimen_goes_along_by_its_kind(given: Any, made: Any) -> None:
    observation = {"resourceType": "Observation", "code": {"text": "钾"}, "specimen": given}
    assert fhir_rules.observation(observation, "lab-1", rules("李雷")).get("specimen") == made


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
