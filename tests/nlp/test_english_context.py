"""English sentences: what is denied, suspected, over, or about somebody else."""

from __future__ import annotations

import pytest

from tests.nlp.reading_of import said

pytestmark = pytest.mark.requirement("DX-NLP-04")

DENIED = [
    ("He denies fever, chills or sweats.", {"fever": "-", "chills": "-", "sweats": "-"}),
    ("No cough, no hemoptysis.", {"cough": "-", "hemoptysis": "-"}),
    ("No cyanosis or clubbing, there is pitting edema.", {
        "cyanosis": "-", "clubbing": "-", "pitting edema": "+"}),
    ("No chest pain but has dyspnea.", {"chest pain": "-", "dyspnea": "+"}),
    ("There is no evidence of pneumonia, pleural effusion, or pneumothorax.", {
        "pneumonia": "-", "pleural effusion": "-", "pneumothorax": "-"}),
    ("Chest pain was denied.", {"Chest pain": "-"}),
    ("Pulmonary embolism was ruled out.", {"Pulmonary embolism": "-"}),
    ("PE has been ruled out.", {"PE": "-"}),
    ("She is afebrile.", {"afebrile": "-"}),
    ("Abdomen soft, nontender.", {"nontender": "-"}),
    ("He has no pain, the leg is swollen with edema.", {"pain": "-", "edema": "+"}),
    ("Negative for cough, positive for dyspnea.", {"cough": "-", "dyspnea": "+"}),
    ("Denies: chest pain, dyspnea", {"chest pain": "-", "dyspnea": "-"}),
    ("The patient doesn't have asthma.", {"asthma": "-"}),
    ("COPD: none", {"COPD": "-"}),
    ("Hypertension: no, asthma: yes", {"Hypertension": "-", "asthma": "+"}),
    ("No fever, asthma: yes", {"fever": "-", "asthma": "+"}),
    ("Cough - no.", {"Cough": "-"}),
    ("Chest pain: no radiation to the arm", {"Chest pain": "+"}),
]  # fmt: skip

PSEUDO = [
    ("She developed a cough without obvious cause.", {"cough": "+"}),
    ("The cough did not improve.", {"cough": "+"}),
    ("Fever has not resolved.", {"Fever": "+"}),
    ("No change in the cough.", {"cough": "+"}),
    ("Hypertension is not well controlled.", {"Hypertension": "+"}),
    ("No increase in dyspnea.", {"dyspnea": "+"}),
    ("Pain is not relieved by ibuprofen.", {"Pain": "+", "ibuprofen": "+"}),
    ("Gram-negative sepsis.", {"sepsis": "+"}),
]

UNCERTAIN = [
    ("Lung cancer could not be ruled out.", {"Lung cancer": "?"}),
    ("Cannot exclude pulmonary embolism.", {"pulmonary embolism": "?"}),
    ("Possible pneumonia.", {"pneumonia": "?"}),
    ("Suspected stroke.", {"stroke": "?"}),
    ("Rule out pneumonia.", {"pneumonia": "?"}),
    ("Pneumonia is suspected.", {"Pneumonia": "?"}),
    ("No fever, possible pneumonia.", {"fever": "-", "pneumonia": "?"}),
    ("Pulmonary nodule, lung cancer to be excluded", {
        "Pulmonary nodule": "+", "lung cancer": "?"}),
    ("Return if chest pain or dyspnea occurs.", {"chest pain": "?", "dyspnea": "?"}),
    ("Pneumonia?", {"Pneumonia": "?"}),
]  # fmt: skip

TIME_AND_PERSON = [
    ("History of pneumonia.", {"pneumonia": "+h"}),
    ("He has a history of hypertension.", {"hypertension": "+"}),
    ("The nausea resolved.", {"nausea": "-h"}),
    ("Her mother had asthma.", {"asthma": "+o"}),
    ("Family history of gout.", {"gout": "+o"}),
    ("Father reports that the patient has fever.", {"fever": "+"}),
    ("Per her mother she had fever.", {"fever": "+"}),
]


@pytest.mark.parametrize(("text", "expected"), [*DENIED, *PSEUDO, *UNCERTAIN, *TIME_AND_PERSON])
def test_english_sentence(text: str, expected: dict[str, str]) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected


def test_denial_does_not_cross_a_sentence() -> None:
    assert said("No fever. Cough for 3 days.") == {"fever": "-", "Cough": "+"}
    assert said("No fever; cough.") == {"fever": "-", "cough": "+"}
    assert said("No fever\n- Cough") == {"fever": "-", "Cough": "+"}


def test_line_wrapped_within_a_sentence_is_one_sentence() -> None:
    assert said("He denies fever, cough,\nchest pain or nausea.")["nausea"] == "-"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Allergic to penicillin and latex.", {"penicillin": "+", "latex": "+"}),
        ("NKDA.", {"NKDA": "-"}),
        ("Penicillin allergy.", {"Penicillin": "+"}),
        ("No known drug allergies.", {"drug": "-"}),
        ("Eats one egg a day.", {"egg": None}),
    ],
)
@pytest.mark.requirement("DX-NLP-06")
def test_english_allergies_outside_their_section(
    text: str, expected: dict[str, str | None]
) -> None:
    found = said(text)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    "text", ["Flu vaccine given.", "Body mass index 24.", "SpO2 95% on RA.", "Falls asleep late."]
)
def test_words_that_only_look_like_a_problem_are_none(text: str) -> None:
    assert said(text) == {}
