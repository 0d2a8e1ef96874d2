"""A whole case with something planted in every text field of every resource, file and note."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.flow import planted_dicom, planted_notes
from tests.flow.cases import AROUND_THE_NODULE, RESULTS, SAMPLES
from tests.flow.planted_fhir import Filler, choices
from tests.flow.planting import Plants

SUBJECT = "Patient/planted-patient"
SIGNS = (
    ("vital-signs", "8867-4"),
    ("exam", "8280-0"),
    ("survey", "9269-2"),
    ("social-history", "72166-2"),
)
"""Categories that go to the labs part, each with a LOINC code."""
TOKENS, PERSON = (10, 14), (11, 17)
"""Slices with a token in every attribute, and with the person in every attribute."""
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
OTHERS = ("Practitioner", "Organization", "RelatedPerson", "Encounter", "Condition")
NATIONAL_ID, RECORD = "urn:oid:2.16.156.10011.1.3", "urn:dxmesh:planted:record"

Json = dict[str, Any]


def write(folder: Path, plants: Plants) -> Path:
    """Write the case's files; `plants` knows afterwards what stands where."""
    filler = Filler(plants, SUBJECT)
    resources = [
        _patient(filler, plants),
        _order(filler),
        _consent(plants),
        *_observations(filler),
        *(_document(filler, plants, language) for language in planted_notes.MEDICINE),
        *(filler.resource(kind, id=f"planted-{kind.lower()}") for kind in OTHERS),
    ]
    folder.mkdir(parents=True)
    for number, resource in enumerate(resources):
        name = f"{number:02}-{resource['resourceType']}.json"
        (folder / name).write_text(json.dumps(resource, ensure_ascii=False))
    _images(folder / "ct", plants)
    return folder


def _patient(filler: Filler, plants: Plants) -> Json:
    """Return the Patient: first a token in each element, then who it is said to be."""
    who = plants.person
    born = plants.that_day("Patient.birthDate", who.born).isoformat()
    patient = filler.resource("Patient", id="planted-patient", gender="female", birthDate=born)
    fact = plants.fact
    patient["name"] += [
        {
            "text": fact("Patient.name.text", who.name),
            "family": who.family,
            "given": [who.given],
        },
        {"text": fact("Patient.name.text, pinyin", who.pinyin)},
    ]
    record = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    patient["identifier"] += [
        {"type": record, "system": RECORD, "value": fact("Patient.identifier", who.record)},
        {"system": NATIONAL_ID, "value": fact("Patient.identifier, national", who.national_id)},
        {"system": "urn:insurance", "value": fact("Patient.identifier, card", who.insurance)},
    ]
    patient["telecom"] += [
        {"system": "phone", "value": fact("Patient.telecom, phone", who.phone)},
        {"system": "email", "value": fact("Patient.telecom, email", who.email)},
    ]
    address = {"line": [fact("Patient.address.line", who.street)], "city": who.city}
    patient["address"].append(address)
    patient["contact"].append(
        {
            "name": {"text": fact("Patient.contact.name", who.relative)},
            "telecom": [{"value": fact("Patient.contact.telecom", who.relative_phone)}],
        }
    )
    return patient


def _order(filler: Filler) -> Json:
    made = filler.resource(
        "ServiceRequest",
        id="planted-order",
        status="active",
        intent="order",
        priority="routine",
        language="en",
        authoredOn="2026-11-20T10:30:00+08:00",
    )
    return made


def _consent(plants: Plants) -> Json:
    """Return the sample's Consent, and tokens in what it does not need to permit."""
    sample = json.loads((SAMPLES / "consent.json").read_text())
    kept = {
        name: sample[name]
        for name in ("status", "scope", "category", "dateTime", "policyRule", "provision")
    }
    # A modifier that is not understood may turn the meaning round: it permits nothing.
    filler = Filler(plants, SUBJECT, "modifierExtension", "verification")
    return filler.resource("Consent", id="planted-consent", **kept)


def _observations(filler: Filler) -> list[Json]:
    """Return one per `value[x]`, and real results that say much besides."""
    made: list[Json] = []
    for choice, name in enumerate(choices("Observation", "value")):
        if name == "valueSampledData":
            continue
        fixed = {"id": f"planted-{name.lower()}", "status": "final"}
        made.append(filler.resource("Observation", choice, **fixed))
    for file in RESULTS:
        sample = json.loads((SAMPLES / "labs" / file).read_text())
        wanted = ("id", "status", "category", "code", "valueQuantity", "referenceRange")
        kept = {name: sample[name] for name in wanted if name in sample}
        made.append(filler.resource("Observation", sample_value(), **kept))
    return [*made, *(_sign(filler, made[0]["code"], *each) for each in SIGNS)]


def _sign(filler: Filler, concept: Json, category: str, code: str) -> Json:
    """Return what no laboratory made and scores read, with tokens in all else it says."""
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    coded = {**concept, "coding": [{"system": "http://loinc.org", "code": code}]}
    value = {"value": 60, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}
    return filler.resource(
        "Observation",
        sample_value(),
        id=f"planted-{category}",
        status="final",
        category=[{"coding": [{"system": system, "code": category}]}],
        code=coded,
        valueQuantity=value,
        component=[{"code": coded, "valueQuantity": value}],
    )


def sample_value() -> int:
    """Return which alternative `valueQuantity` is."""
    return choices("Observation", "value").index("valueQuantity")


def _document(filler: Filler, plants: Plants, language: str) -> Json:
    text = planted_notes.note(language, plants)
    made = filler.resource("DocumentReference", id=f"planted-note-{language}", status="current")
    attachment = made["content"][0]["attachment"]
    attachment |= {
        "contentType": "text/plain; charset=utf-8",
        "data": base64.b64encode(text.encode()).decode(),
    }
    attachment.pop("language")
    for name in ("contentType", "language"):
        plants.drop(f"DocumentReference.content.attachment.{name}")
    return made


def _images(folder: Path, plants: Plants) -> None:
    folder.mkdir()
    uids = {keyword: plants.uid(f"DICOM {keyword}") for keyword in UIDS}
    for number in AROUND_THE_NODULE:
        if number in TOKENS:
            dataset = planted_dicom.tokens(number, plants)
        elif number in PERSON:
            dataset = planted_dicom.person(number, plants)
        else:
            dataset = dcmread(SAMPLES / "ct" / f"slice-{number:02}.dcm")
            planted_dicom.identify(dataset, plants)
        for keyword, uid in uids.items():
            setattr(dataset, keyword, uid)
        dataset.SOPInstanceUID = plants.uid("DICOM SOPInstanceUID")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        planted_dicom.write(dataset, folder / f"{number:02}.dcm", plants)
