"""Strings planted in every text field of a case are nowhere but in the identity zone, encrypted.

One case is submitted, reported and signed; then everything that a mesh writes is searched.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from pydicom import config

from services.kernel import fhir
from tests.flow import places, planted_case, planted_notes
from tests.flow.planting import Plants
from tests.flow.provoking import provoke
from tests.flow.reviewing import Physician
from tests.flow.running import Running
from tests.flow.searching import Search, forms

SHOWN = 40
"""Leaks that a failure prints."""
REQUESTS_MIN = 20
COMMENT = "Discussed with {name} ({pinyin}), {phone}: agreed. 已告知{name}及{relative}。"
CORRECTION = "Compared with the film of {pinyin}, record {record}: benign."


@dataclass(frozen=True)
class Planted:
    """A case with everything planted, reported and signed."""

    running: Running
    plants: Plants
    folder: Path
    case_id: str
    search: Search
    submitted: frozenset[str]
    """Tokens of the case itself; the others are in requests that failed."""

    def leaks(self, found: Iterable[tuple[str, bytes]]) -> list[str]:
        """Return each thing planted that stands in a place."""
        return [str(hit) for place, content in found for hit in self.search.hits(content, place)]


@pytest.fixture(scope="module")
def planted(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """The case, signed with a comment that names the patient, after requests that failed."""
    plants = Plants()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config.settings, "_writing_validation_mode", config.IGNORE)
        folder = planted_case.write(tmp_path_factory.mktemp("planted") / "case", plants)
    case_id = running.submit(folder, language="en")
    running.wait_for(case_id)
    physician = Physician(running)
    facts = asdict(plants.person)
    first, *_ = physician.findings(case_id)
    answer = physician.sign(
        case_id, comment=COMMENT.format(**facts), corrections={first: CORRECTION.format(**facts)}
    )
    assert answer.status_code == 303, answer.status_code
    running.wait_for(case_id, lambda case: any(s["step"] == "signed" for s in case["steps"]))
    submitted = frozenset(plants.tokens)
    assert provoke(running, plants) >= REQUESTS_MIN
    return Planted(running, plants, folder, case_id, Search(plants), submitted)


def assert_none(leaks: list[str]) -> None:
    """Fail with what leaked and where."""
    shown = "\n".join(leaks[:SHOWN])
    assert not leaks, f"{len(leaks)} leaks, of which the first are:\n{shown}"


@pytest.mark.requirement("DX-ID-20")
def test_the_search_finds_everything_in_what_was_submitted(planted: Planted) -> None:
    submitted = [(path.name, path.read_bytes()) for path in planted.folder.rglob("*.*")]
    hits = [hit for place, content in submitted for hit in planted.search.hits(content, place)]
    fields, found = {hit.field for hit in hits}, {hit.form.casefold() for hit in hits}
    plants = planted.plants
    assert not planted.submitted - found
    assert not set(plants.uids) - found
    missing = set(plants.dates.values()) - fields
    assert not missing
    assert not [fact for fact in plants.facts if not found & {f.casefold() for f in forms(fact)}]


@pytest.mark.requirement("DX-ID-20")
def test_the_search_finds_every_form_and_encoding(planted: Planted) -> None:
    token = next(iter(planted.plants.tokens))
    for fact in (token, *planted.plants.facts):
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in fact)
        assert unicodedata.normalize("NFKC", wide) == unicodedata.normalize("NFKC", fact)
        written = (fact, fact.upper(), fact[::-1], wide)
        contents = [f"before {form} after".encode() for form in written]
        contents.append(fhir.dump({"a": fact}))
        contents.append(b"\\x" + f"before {fact} after".encode().hex().encode())
        contents.append(base64.b64encode(f"before {fact} after".encode()))
        contents.append(json.dumps({"a": fact}).encode())
        for content in contents:
            assert list(planted.search.hits(content, "here")), (fact, content)


@pytest.mark.requirement("DX-ID-20")
def test_the_gateway_gives_the_identity_back(planted: Planted) -> None:
    ehr = planted.running.ehr
    report = planted.running.report(planted.case_id)
    assert report["status"] == "final"
    patient = ehr.content(f"/fhir/{report['subject']['reference']}", fhir.MEDIA_TYPE)
    found = {hit.field for hit in planted.search.hits(patient, "Patient")}
    assert {"Patient.name.text", "Patient.identifier", "Patient.birthDate"} <= found
    assert planted.plants.person.name in report["conclusion"]  # the physician wrote it


@pytest.mark.requirement("DX-ID-20")
def test_what_was_planted_in_went_through_the_analysis(planted: Planted) -> None:
    report = planted.running.report(planted.case_id)
    assert not [e for e in report["extension"] if e["url"].endswith(":set-aside")]
    images = b"".join(
        c for place, c in places.blobs(planted.running, "analysis") if ".zip" in place
    )
    assert images.count(b"DICM") >= len(list(planted.folder.glob("ct/*.dcm")))
    text = "".join(planted.running.case(planted.case_id)["report"])
    assert text
    notes = b"".join(
        c for place, c in places.blobs(planted.running, "analysis") if "nlp-1" in place
    )
    for words in planted_notes.MEDICINE.values():
        assert not [word for word in words if word.encode() not in notes]


@pytest.mark.requirement("DX-ID-21")
def test_nothing_planted_is_on_the_bus(planted: Planted, tmp_path: Path) -> None:
    found = list(places.messages(planted.running, tmp_path / "copy"))
    assert any(planted.case_id.encode() in content for _, content in found)
    assert_none(planted.leaks(found))


@pytest.mark.requirement("DX-ID-22")
def test_nothing_planted_is_in_the_analysis_zone(planted: Planted) -> None:
    found = list(places.blobs(planted.running, "analysis"))
    assert any(planted.case_id in place for place, _ in found)
    assert_none(planted.leaks(found))


@pytest.mark.requirement("DX-ID-23")
def test_nothing_planted_is_readable_in_a_database(planted: Planted) -> None:
    found = list(places.databases(planted.running))
    assert any(planted.case_id.encode() in content for _, content in found)
    assert_none(planted.leaks(found))


@pytest.mark.requirement("DX-ID-24")
def test_nothing_planted_is_in_logs_spans_and_metrics(planted: Planted) -> None:
    logs = list(places.logs(planted.running))
    exported = list(places.telemetry(planted.running))
    assert any(planted.case_id.encode() in content for _, content in (*logs, *exported))
    assert_none(planted.leaks([*logs, *exported]))


@pytest.mark.requirement("DX-ID-25")
def test_nothing_planted_is_in_any_file_as_it_lies_on_the_disk(planted: Planted) -> None:
    assert_none(planted.leaks(places.files(planted.running)))
