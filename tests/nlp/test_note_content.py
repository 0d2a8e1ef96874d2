"""What a note holds besides problems and medicines: values, procedures, and details of each."""

from __future__ import annotations

import pytest

from services.nlp.notes import note_of
from services.nlp.reading import Reading, read
from tests.nlp.reading_of import the_text

pytestmark = pytest.mark.requirement("DX-NLP-16")


def reading(text: str) -> Reading:
    return read(note_of(text))


def values(text: str) -> dict[str, tuple[str, str, str]]:
    """Name to LOINC code, number (comparator, range) and unit as written."""
    return {
        each.value.en: (
            each.value.loinc,
            each.value.comparator
            + each.value.value
            + (f"|{each.value.high}" if each.value.high else ""),
            each.value.unit,
        )
        for each in reading(text).measurements
    }


def details(text: str, written: str) -> set[tuple[str, str]]:
    (found,) = [each for each in reading(text).mentions if each.written == written]
    return {(each.kind.value, text[each.start : each.end]) for each in found.details}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("查体：T 38.5℃，P 98次/分，R 20次/分，BP 150/90mmHg，SpO2 95%。", {
            "Body temperature": ("8310-5", "38.5", "℃"),
            "Heart rate": ("8867-4", "98", "次/分"),
            "Respiratory rate": ("9279-1", "20", "次/分"),
            "Blood pressure": ("85354-9", "150|90", "mmHg"),
            "Oxygen saturation": ("59408-5", "95", "%"),
        }),
        ("Vitals: T 98.6 F, HR 88, BP 120/80, RR 16, SpO2 97% on room air.", {
            "Body temperature": ("8310-5", "98.6", "F"),
            "Heart rate": ("8867-4", "88", ""),
            "Blood pressure": ("85354-9", "120|80", ""),
            "Respiratory rate": ("9279-1", "16", ""),
            "Oxygen saturation": ("59408-5", "97", "%"),
        }),
        ("Weight 70 kg. BMI 24.2.", {
            "Body weight": ("29463-7", "70", "kg"), "Body mass index": ("39156-5", "24.2", ""),
        }),
        ("身高１７０ｃｍ，GCS 15分。", {
            "Body height": ("8302-2", "170", "ｃｍ"), "Glasgow coma score": ("9269-2", "15", "分"),
        }),
    ],
)  # fmt: skip
def test_vital_signs_are_read_with_their_unit(
    text: str, expected: dict[str, tuple[str, str, str]]
) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("白细胞12.5×10^9/L", "Leukocytes", ("6690-2", "12.5", "×10^9/L")),
        ("白细胞计数（WBC）：12.5×10⁹/L", "Leukocytes", ("6690-2", "12.5", "×10⁹/L")),
        ("血鉀6.8 mmol/L（3.5-5.3）", "Potassium", ("2823-3", "6.8", "mmol/L")),
        ("肌酐：156 μmol/L", "Creatinine", ("14682-9", "156", "μmol/L")),
        ("Cr 1.4 mg/dL", "Creatinine", ("2160-0", "1.4", "mg/dL")),
        ("Creatinine 2.1.", "Creatinine", ("", "2.1", "")),
        ("troponin I <0.01 ng/mL", "Troponin I", ("10839-9", "<0.01", "ng/mL")),
        ("血糖波动于8-12mmol/L", "Glucose", ("14749-6", "8|12", "mmol/L")),
        ("glucose was elevated at 240 mg/dL", "Glucose", ("2345-7", "240", "mg/dL")),
        ("血红蛋白由110g/L降至70g/L", "Hemoglobin", ("718-7", "70", "g/L")),
        ("D-dimer 1.2 mg/L", "D-dimer", ("", "1.2", "mg/L")),
        ("Na 128, K 5.9, HCO3 18.", "Potassium", ("2823-3", "5.9", "")),
    ],
)
def test_laboratory_value_has_the_code_that_fits_its_unit(
    text: str, name: str, expected: tuple[str, str, str]
) -> None:
    assert values(text)[name] == expected


@pytest.mark.parametrize(
    ("text", "name", "answer"),
    [
        ("尿蛋白3+，尿潜血（++）。", "Urine protein", "3+"),
        ("尿蛋白3+，尿潜血（++）。", "Urine occult blood", "（++）"),
        ("乙肝表面抗原阳性，HIV抗体阴性。", "Hepatitis B surface antigen", "阳性"),
        ("Rapid strep was positive.", "Streptococcal antigen", "positive"),
        ("Blood cultures negative.", "Blood culture", "negative"),
    ],
)
def test_answer_in_words_or_signs_is_a_value_without_a_code(
    text: str, name: str, answer: str
) -> None:
    assert values(text)[name] == ("", answer, "")


@pytest.mark.parametrize(
    "text",
    [
        "静滴10%氯化钾10ml。",
        "5%葡萄糖250ml静滴。",
        "人血白蛋白10g静滴。",
        "K 9.",
        "P 2.",
        "calcium 600 mg daily",
        "血钾68 g/L",
        "体温正常，心率快。",
        "potassium chloride 20 mEq",
    ],
)
def test_what_is_no_value_or_of_another_unit_is_not_read(text: str) -> None:
    assert values(text) == {}


@pytest.mark.parametrize(
    ("text", "weeks"),
    [
        ("患者孕32+3周，下腹痛。", "32+3"),
        ("停经40周，规律宫缩。", "40"),
        ("She is 28 weeks pregnant.", "28"),
        ("Gestational age 31w4d.", "31w4d"),
        ("at 34 weeks gestation with contractions", "34"),
    ],
)
def test_how_far_a_pregnancy_is(text: str, weeks: str) -> None:
    assert values(text)["Gestational age"][:2] == ("18185-9", weeks)


@pytest.mark.parametrize("text", ["G2P1", "孕2产1", "gravida 2, para 1"])
def test_pregnancies_and_births(text: str) -> None:
    found = values(f"{text}。")
    assert (found["Pregnancies"][:2], found["Parity"][:2]) == (("11996-6", "2"), ("11977-6", "1"))


def test_value_of_another_and_its_time() -> None:
    (found,) = reading("父亲昨日血糖18.2mmol/L。").measurements
    assert (found.other_person, found.time is not None) == (True, True)
    assert the_text("父亲昨日血糖18.2mmol/L。", found.time) == "昨日"


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("个人史：吸烟20年，每日20支，已戒5年。", "吸烟", {
            ("duration", "20年"), ("amount", "每日20支"), ("quit", "已戒5年")}),
        ("个人史：吸烟10年，每日10支，饮酒5年，每日白酒2两。", "饮酒", {
            ("duration", "5年"), ("amount", "每日白酒2两")}),
        ("个人史：戒烟5年。", "戒烟", {("quit", "戒烟5年")}),
        ("个人史：吸烟40年，20支/日，戒烟5年。", "吸烟", {
            ("duration", "40年"), ("amount", "20支/日"), ("quit", "戒烟5年")}),
        ("个人史：吸烟40年，未戒烟。", "吸烟", {("duration", "40年")}),
        ("个人史：否认吸烟。", "吸烟", set()),
        ("Social History: 30 pack-year smoking history, quit 5 years ago.",
            "pack-year smoking history",
            {("amount", "30 pack-year"), ("quit", "quit 5 years ago")}),
        ("Social History: Smokes 1 ppd for 20 years.", "Smokes", {
            ("amount", "1 ppd"), ("duration", "for 20 years")}),
        ("Social History: Drinks two beers per day.", "beers", {("amount", "two beers per day")}),
    ],
)  # fmt: skip
def test_smoking_and_drinking_with_amounts(
    text: str, written: str, expected: set[tuple[str, str]]
) -> None:
    assert details(text, written) == expected


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("3天前出现剧烈头痛。", "头痛", {("onset", "3天前"), ("severity", "剧烈")}),
        ("左下肢疼痛较前加重。", "下肢疼痛", {("side", "左"), ("course", "较前加重")}),
        ("咳嗽3周，反复发作。", "咳嗽", {("duration", "3周"), ("course", "反复发作")}),
        ("2026年11月20日突发右侧胸痛。", "胸痛", {
            ("onset", "2026年11月20日"), ("course", "突发"), ("side", "右侧")}),
        ("右肺见大小约8mm×6mm结节。", "结节", {("size", "8mm×6mm")}),
        ("Severe left knee pain for 2 weeks.", "pain", {
            ("severity", "Severe"), ("side", "left"), ("site", "knee"),
            ("duration", "for 2 weeks")}),
        ("Pain in the right shoulder since yesterday.", "Pain", {
            ("side", "right"), ("site", "shoulder"), ("onset", "since yesterday")}),
        ("A 3.2 x 2.1 cm mass is seen in the liver.", "mass", {
            ("size", "3.2 x 2.1 cm"), ("site", "liver")}),
        ("A 12 mm nodule, increased from 8 mm before.", "nodule", {("size", "12 mm")}),
        ("Bilateral edema, improving.", "edema", {("side", "Bilateral"), ("course", "improving")}),
        ("The cough began 3 days ago.", "cough", {("onset", "3 days ago")}),
    ],
)  # fmt: skip
def test_what_is_said_of_a_problem(text: str, written: str, expected: set[tuple[str, str]]) -> None:
    assert expected <= details(text, written)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("胸痛无加重。", "胸痛"),
        ("咳嗽未见好转。", "咳嗽"),
        ("Chest pain not improving.", "Chest pain"),
    ],
)
def test_course_that_is_denied_is_not_told(text: str, written: str) -> None:
    assert not {kind for kind, _ in details(text, written)} & {"course"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("家族史：父亲患高血压，母亲患乳腺癌，外祖母有糖尿病。", {
            "高血压": "FTH", "乳腺癌": "MTH", "糖尿病": "MGRMTH"}),
        ("Family History: Mother with breast cancer, father had MI.", {
            "breast cancer": "MTH", "MI": "FTH"}),
        ("患者妹妹有哮喘，患者有湿疹。", {"哮喘": "SIS", "湿疹": ""}),
    ],
)  # fmt: skip
def test_family_history_names_the_relative(text: str, expected: dict[str, str]) -> None:
    found = {
        each.written: "".join(
            detail.word.code for detail in each.details if detail.word and detail.word.code
        )
        for each in reading(text).mentions
    }
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2010年行阑尾切除术。", {"阑尾切除术": "historical"}),
        ("3年前因冠心病行PCI术。", {"PCI术": "historical"}),
        ("拟行腹腔镜胆囊切除术。", {"腹腔镜胆囊切除术": "planned"}),
        ("胸痛行冠状动脉造影未见异常。", {"冠状动脉造影": "done"}),
        ("未行胃镜检查。", {"胃镜检查": "denied"}),
        ("行左侧股骨颈骨折闭合复位内固定术。", {"左侧股骨颈骨折闭合复位内固定术": "done"}),
        ("Underwent laparoscopic cholecystectomy in 2015.", {
            "laparoscopic cholecystectomy": "historical"}),
        ("Plan for colonoscopy next week.", {"colonoscopy": "planned"}),
        ("CT scan was negative.", {"CT scan": "done"}),
        ("No prior colonoscopy.", {"colonoscopy": "denied"}),
        ("Plan: MRI of the abdomen.", {"MRI": "planned"}),
    ],
)  # fmt: skip
def test_procedures_are_done_planned_or_not_done(text: str, expected: dict[str, str]) -> None:
    found = {}
    for each in reading(text).procedures:
        said = each.said
        found[each.written] = (
            "planned"
            if said.planned
            else "denied"
            if said.certainty.value == "negated"
            else "historical"
            if said.historical
            else "done"
        )
    assert found == expected


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("用药史：氨氯地平片 5mg 口服 每日一次。", "氨氯地平片", {("route", "口服")}),
        ("静滴头孢曲松 2g。", "头孢曲松", {("route", "静滴")}),
        ("Aspirin 81 mg PO daily.", "Aspirin", {("route", "PO")}),
        ("IV ceftriaxone 1 g was given.", "ceftriaxone", {("route", "IV")}),
        ("过敏史：青霉素过敏，皮疹。", "青霉素", {("reaction", "皮疹")}),
        ("Allergies: penicillin causes hives.", "penicillin", {("reaction", "hives")}),
    ],
)
def test_how_a_medicine_is_given_and_what_an_allergy_does(
    text: str, written: str, expected: set[tuple[str, str]]
) -> None:
    assert details(text, written) == expected
