"""What the notes say against results, images and themselves: both sides with their places."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

import pytest
from dxmesh.imaging.v1 import imaging_findings_pb2 as images
from dxmesh.nlp.v1.note_findings_pb2 import NoteFindings
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.profiles.conform import problems
from services.kernel import fhir
from services.labs.rules import engine as labs_rules
from services.labs.scores.catalogue import CATALOGUE as SCORES
from services.nlp import tables as nlp_tables
from services.reporting import stated
from services.reporting.analytes import ANALYTES
from services.reporting.compose import compose
from services.reporting.draft import Draft
from services.reporting.reconcile import medicines, results
from services.reporting.suggestions.model import Fact, Facts
from tests.reporting.told import (
    HH,
    LL,
    H,
    L,
    N,
    case,
    coded,
    haemorrhage,
    in_english,
    nodule,
    resources,
    result,
    scan,
)

LEFT, RIGHT = images.LATERALITY_LEFT, images.LATERALITY_RIGHT


def conflicts(draft: Draft) -> list[tuple[str, str]]:
    return [
        (issue["code"]["coding"][0]["code"], issue["detail"])
        for issue in resources(draft, "DetectedIssue")
    ]


def agreements(draft: Draft) -> list[str]:
    found = coded(draft, "reconciliation").get("agreement", [])
    return [part["valueString"] for each in found for part in each["component"]]


@pytest.mark.requirement("DX-SUG-09")
@pytest.mark.parametrize(
    ("text", "shown", "fits"),
    [
        ("辅助检查：血钾正常。", result("k", "6.8", HH), False),
        ("辅助检查：血钾4.1mmol/L。", result("k", "6.8", HH), False),
        ("辅助检查：血钾 6.8 mmol/L。", result("k", "6.80", HH), True),
        ("辅助检查：血红蛋白90g/L。", result("hgb", "125", N), False),
        ("LABS: hemoglobin 9.0 g/dL.", result("hgb", "91", L), True),
        ("辅助检查：白细胞升高。", result("wbc", "6.1", N), False),
        ("辅助检查：白细胞、CRP均正常。", result("wbc", "6.1", N), True),
        ("辅助检查：血红蛋白偏低。", result("hgb", "80", L), True),
        ("LABS: elevated white count.", result("wbc", "6.1", N), False),
        ("诊断：贫血。", result("hgb", "140", N), False),
        ("辅助检查：无贫血。", result("hgb", "70", L), False),
        ("辅助检查：CRP未见升高。", result("crp", "150", H), False),
        ("辅助检查：肌酐1.9mg/dL。", result("creatinine", "168", H), True),
    ],
)
def test_a_statement_about_a_result_agrees_or_does_not(
    text: str, shown: Any, *, fits: bool
) -> None:
    draft = case(text, results=[shown])
    assert bool(agreements(draft)) is fits
    assert [sort for sort, _ in conflicts(draft)] == ([] if fits else ["result"])


@pytest.mark.requirement("DX-SUG-09")
@pytest.mark.parametrize(
    ("text", "shown", "told"),
    [
        ("辅助检查：肾功能正常。", result("creatinine", "265", H), "“肾功能正常”"),
        ("辅助检查：肝肾功能未见明显异常。", result("creatinine", "265", H), "“肝肾功能"),
        ("辅助检查：血钾、肾功能均正常。", result("creatinine", "265", H), "“肾功能均正常”"),
        ("LABS: renal function is normal.", result("creatinine", "265", H), "265"),
        ("LABS: CBC normal.", result("hgb", "62", LL), "62"),
        ("辅助检查：血常规正常。", result("wbc", "18", H), "18"),
        ("辅助检查：肝功能正常。", result("alt", "420", H), "420"),
        ("辅助检查：凝血功能正常。", result("inr", "4.1", H), "4.1"),
        ("辅助检查：肾功能正常。", result("creatinine", "70", N), ""),
        ("辅助检查：肾功能正常。", result("alt", "420", H), ""),
        ("既往史：肾功能正常。", result("creatinine", "265", H), ""),
        ("辅助检查：肾功能不全。", result("creatinine", "265", H), ""),
    ],
)
def test_a_group_called_normal_does_not_fit_a_flagged_result_of_it(
    text: str, shown: Any, told: str
) -> None:
    found = [detail for _, detail in conflicts(case(text, results=[shown]))]
    assert len(found) == bool(told)
    assert not told or told in found[0]


@pytest.mark.requirement("DX-SUG-09")
@pytest.mark.parametrize(
    "text",
    [
        "现病史：外院查血钾3.0mmol/L。",
        "既往史：血钾正常。",
        "PAST MEDICAL HISTORY:\nPotassium normal.",
        "诊疗计划：监测血钾，目标血钾正常。",
        "现病史：3天前血红蛋白90g/L。",
        "辅助检查：血钾3.5-5.5mmol/L。",
        "辅助检查：血钾6.2mmol/L。",  # a tenth away: neither the same draw nor another
        "辅助检查：尿白细胞升高。",
        "家族史：母亲贫血。",
    ],
)
def test_what_is_said_of_another_time_or_thing_is_not_compared(text: str) -> None:
    draft = case(text, results=[result("k", "6.8", HH), result("hgb", "125", N)])
    assert conflicts(draft) == [] and agreements(draft) == []


def test_results_of_another_week_are_of_another_time() -> None:
    old = result("k", "4.0", N, "2026-10-01T08:00:00Z")
    new = result("k", "6.8", HH, "2026-11-20T08:00:00Z")
    assert conflicts(case("辅助检查：血钾正常。", results=[old, new]))
    near = result("k", "4.0", N, "2026-11-18T08:00:00Z")
    assert not conflicts(case("辅助检查：血钾正常。", results=[near, new]))


@pytest.mark.requirement("DX-SUG-09")
@pytest.mark.parametrize(
    ("text", "seen", "said"),
    [
        ("头颅CT：颅内未见出血。", scan(haemorrhage()), "未见"),
        ("HEAD CT: No intracranial hemorrhage.", scan(haemorrhage()), "未见"),
        ("CT示右肺下叶结节。", scan(nodule(LEFT, 9)), "核对侧别"),
        ("CT示右肺下叶结节。", scan(none=[1]), "影像分析未见"),
    ],
)
def test_images_that_show_something_else_are_set_against_the_note(
    text: str, seen: Any, said: str
) -> None:
    [(sort, detail)] = conflicts(case(text, seen=seen))
    assert sort == "image" and said in detail


@pytest.mark.requirement("DX-SUG-09")
def test_a_nodule_found_again_is_told_with_both_sizes() -> None:
    draft = case("CT示左肺下叶结节，约12mm。", seen=scan(nodule(LEFT, 13.4)))
    [said] = agreements(draft)
    assert "12mm" in said and "13.4 mm" in said
    assert conflicts(draft) == []


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("既往史：2010年脑出血。", scan(none=[2])),
        ("家族史：父亲脑出血。", scan(haemorrhage())),
        ("头部外伤，不排除脑出血。", scan(none=[2])),
        ("左侧肋骨骨折。", scan(none=[3])),
    ],
)
def test_what_the_note_does_not_say_of_now_is_not_set_against_images(text: str, seen: Any) -> None:
    assert conflicts(case(text, seen=seen)) == []


@pytest.mark.requirement("DX-SUG-10")
def test_medicines_are_held_against_results_and_allergies() -> None:
    text = "过敏史：青霉素过敏。\n用药史：华法林3mg每日1次。\n诊疗计划：予阿莫西林口服。"
    draft = case(text, results=[result("inr", "7.2", HH)])
    found = conflicts(draft)
    assert [sort for sort, _ in found] == ["allergy", "medicine"]
    assert "青霉素" in found[0][1] and "阿莫西林" in found[0][1] and "7.2" in found[1][1]
    issue = resources(draft, "DetectedIssue")[1]
    assert issue["reference"].startswith("https://") and issue["severity"] == "high"
    quiet = case("过敏史：头孢过敏。\n用药史：华法林。", results=[result("inr", "2.2", N)])
    assert conflicts(quiet) == []
    for avoided in ("避免使用阿莫西林", "Penicillin allergy: avoid penicillins.", "禁用青霉素类"):
        assert conflicts(case(f"过敏史：青霉素过敏。\n诊疗计划：{avoided}")) == []


@pytest.mark.requirement("DX-SUG-10")
def test_every_check_names_what_its_services_know_and_can_fire() -> None:
    known = {row["en"] for row in nlp_tables.rows("medications")}
    rules = {rule.risk_id for rule in labs_rules.default().rules}
    tables = {"med": known, "lab": set(ANALYTES), "risk": rules, "score": set(SCORES)}
    for check in medicines.checks():
        assert check.zh and check.en and check.source and check.link.startswith("https://")
        for key in check.feature.asked():
            kind, _, name = key.partition(":")
            assert name in tables[kind], key
        facts = Facts()
        for atom in check.feature.either[0]:
            number = (
                atom.limit + {"<": -0.1, "<=": 0.0, ">": 0.1, ">=": 0.0, "": 0.0}[atom.operator]
            )
            facts.add(Fact(atom.keys[0], "x", "x", number, frozenset({atom.state})))
        assert check.feature.found(facts), check.id
    substances = known | {row["en"] for row in nlp_tables.rows("allergens")}
    classes = files("services.reporting").joinpath("data", "reconcile", "classes.toml")
    for members in tomllib.loads(classes.read_text("utf-8")).values():
        assert set(members) <= substances
    assert set(results.CLAIMED) <= {row["en"] for row in nlp_tables.rows("problems")}


@pytest.mark.requirement("DX-SUG-08")
def test_contradictions_of_the_record_are_issues_with_their_places() -> None:
    draft = case("现病史：2型糖尿病5年。\n既往史：否认糖尿病史。")
    [(sort, detail)] = conflicts(draft)
    assert sort == "contradiction" and "否认糖尿病史" in detail
    [observation] = coded(draft, "reconciliation")["contradiction"]
    spans = [e for e in observation["extension"] if e["url"].endswith("source-span")]
    assert len(spans) == 2 and len(observation["derivedFrom"]) == 3
    report = resources(draft, "DiagnosticReport")[0]
    assert detail in report["conclusion"]


@pytest.mark.requirement("DX-SUG-09")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_was_compared_is_valid_conforms_and_points_to_what_is_there(language: str) -> None:
    text = "过敏史：青霉素过敏。\n辅助检查：血钾正常，肌酐 168 μmol/L。"
    text += "\n用药：阿莫西林。CT示左肺结节12mm。"
    shown = [result("k", "6.8", HH), result("creatinine", "170", H)]
    draft = case(text, results=shown, seen=scan(nodule(LEFT, 13)))
    draft = in_english(draft) if language == "en" else draft
    bundle = fhir.parse(fhir.dump(compose(draft).bundle))
    assert fhir.problems(bundle) == []
    found = [entry["resource"] for entry in bundle["entry"]]
    assert [p for each in found for p in problems(each)] == []
    there = {f"{each['resourceType']}/{each['id']}" for each in found}
    made = coded(draft, "reconciliation")
    assert set(made) == {"agreement", "allergy", "result"}
    for each in (o for group in made.values() for o in group):
        assert {r["reference"] for r in each["derivedFrom"]} <= there
        tagged = bool(each["meta"].get("tag"))
        assert tagged is (each["code"]["coding"][0]["code"] != "agreement")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "血钾",
                "6.8",
                "mmol/L",
                "正常",
                "、",
                "，",
                "。",
                "白细胞",
                "升高",
                "<",
                "Hb ",
                "not elevated ",
                "potassium ",
                "normal ",
                "9.1g/dL",
                "血压",
                "120/80",
                "\n",
                "\x00",
                "：",
                "Ｋ＋",
                "1" * 40,
            ]
        ),
        max_size=20,
    )
)
def test_any_text_is_read_and_every_claim_is_written_there(parts: list[str]) -> None:
    text = "".join(parts)
    draft = case(text or "x")
    [part] = draft.parts
    found = part.findings
    assert isinstance(found, NoteFindings)
    lengths = {note.note_id: len(note.text) for note in found.notes}
    for note_id, claim in (*stated.results(found), *stated.vital_signs(found)):
        assert 0 <= claim.start < claim.end <= lengths[note_id]
        assert bool(claim.word) is (claim.number is None)
