"""PID and NK1 as Patient, PV1 as Encounter. Pure.

Source: v2-to-FHIR PID[Patient], NK1[Patient], PV1[Encounter].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.ingest.hl7v2 import codes, datatypes, moments
from services.ingest.hl7v2.datatypes import present
from services.ingest.hl7v2.observation import Surroundings
from services.ingest.hl7v2.reader import Segment
from services.ingest.hl7v2.refusal import REQUIRED, NotTaken
from services.ingest.hl7v2.site import Site

Json = dict[str, Any]

PID_READ = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 18, 19, 29, 30))
NK1_READ = frozenset((1, 2, 3, 4, 5))
PV1_READ = frozenset((1, 2, 3, 7, 8, 9, 10, 19, 44, 45))
MAIDEN = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"
ACT = f"{codes.TERMINOLOGY}v3-ActCode"


def patient(pid: Segment, relatives: Sequence[Segment], around: Surroundings) -> Json:
    """Return the Patient, without an id.

    Raises
    ------
    NotTaken
        PATIENT_NOT_IDENTIFIED: nothing says who it is.
    """
    site = around.site
    made = present(
        resourceType="Patient",
        extension=_maiden(pid),
        identifier=_identifiers(pid, site),
        name=[*_names(pid, 5), *_names(pid, 9)],
        telecom=[
            found
            for field, use in ((13, "home"), (14, "work"))
            for part in pid.parts(field)
            if (found := datatypes.contact(part, use))
        ],
        gender=_gender(pid),
        birthDate=_birth(pid),
        address=[found for part in pid.parts(11) if (found := datatypes.address(part))],
        contact=[found for each in relatives if (found := _relative(each, site))],
    )
    if not made.get("identifier"):
        raise NotTaken(
            "PID-3 has no identifier; without one nobody can say whose results these are",
            reason="PATIENT_NOT_IDENTIFIED",
            code=REQUIRED,
            place=pid.at(3),
        )
    return made | _death(pid, around)


def encounter(pv1: Segment, around: Surroundings, subject: Json) -> Json:
    """Return the Encounter of a visit; empty when PV1 says neither class nor number."""
    site, stated = around.site, pv1.text(2)
    number = datatypes.identifier(pv1.part(19), site, "", "VN")
    if not stated and not number:
        return {}
    end = moments.moment(pv1.text(45), around.zone)
    known = codes.code("class", stated)
    where = datatypes.place(pv1.part(3))
    return present(
        resourceType="Encounter",
        identifier=[number] if number else [],
        status="finished" if end else codes.code("encounter_status", stated) or "unknown",
        class_=present(
            system=ACT if known else f"{codes.TERMINOLOGY}v2-0004",
            code=known or datatypes.coded(stated) or "U",
        ),
        subject=subject,
        serviceType=datatypes.concept(pv1.part(10), site),
        participant=[
            {"individual": who}
            for field in (7, 8, 9)
            for part in pv1.parts(field)
            if (who := datatypes.person(part, site))
        ],
        period=present(start=moments.moment(pv1.text(44), around.zone), end=end),
        location=[{"location": where}] if where else [],
    )


def same_person(one: Segment, other: Segment) -> bool:
    """Tell whether two PID segments state the same patient: the same identifiers."""
    return bool(one.raw_of(3)) and one.raw_of(3) == other.raw_of(3)


def default_system(site: Site, facility: str, application: str) -> str:
    """Return the system of identifiers whose authority is not named."""
    named = facility or application
    own = f"{codes.OURS}{quote(named, safe='')}" if named else f"{codes.OURS}unnamed"
    return site.identifier_system or own


def _identifiers(pid: Segment, site: Site) -> list[Json]:
    msh = pid.message.header
    system = default_system(site, msh.text(4), msh.text(3))
    typed = {part.text(5) for part in pid.parts(3)}
    # PID-3 is whom the hospital knows: one of it must go before account numbers and the like.
    own = "" if typed & {"MR", "PI"} else "PI"
    made = []
    for field, kind in ((3, own), (2, ""), (4, "")):
        for part in pid.parts(field):
            found = datatypes.identifier(part, site, system, kind)
            if found and found not in made:
                made.append(found)
    for part in pid.parts(18):
        if account := datatypes.identifier(part, site, system, "AN"):
            made.append({"use": "temp"} | account)
    if number := pid.text(19):
        coding = [{"system": codes.IDENTIFIER_TYPE, "code": "SB"}]
        made.append({"type": {"coding": coding}, "value": number})
    return made


def _names(pid: Segment, field: int) -> list[Json]:
    return [found for part in pid.parts(field) if (found := datatypes.name(part))]


def _maiden(pid: Segment) -> list[Json]:
    names = [" ".join(t for t in (p.text(2), p.text(1)) if t) for p in pid.parts(6)]
    return [{"url": MAIDEN, "valueString": each} for each in names if each]


def _gender(pid: Segment) -> str:
    stated = pid.text(8)
    found = codes.code("sex", stated.upper())
    if stated and not found:
        text = "PID-8 has a sex that table 0001 does not know; it was left out"
        pid.message.asides.add(pid.at(8), "SEX_NOT_READ", text)
    return found


def _birth(pid: Segment) -> str:
    stated = pid.text(7)
    found = moments.day(stated)
    if stated and not found:
        text = "the date of birth is no date and was left out; the age is not known"
        pid.message.asides.add(pid.at(7), "BIRTH_DATE_NOT_READ", text)
    return found


def _death(pid: Segment, around: Surroundings) -> Json:
    if found := moments.moment(pid.text(29), around.zone):
        return {"deceasedDateTime": found}
    return {"deceasedBoolean": pid.text(30) == "Y"} if pid.text(30) in ("Y", "N") else {}


def _relative(nk1: Segment, site: Site) -> Json:
    names, phones = _names(nk1, 2), nk1.parts(5)
    places = [found for part in nk1.parts(4) if (found := datatypes.address(part))]
    return present(
        relationship=datatypes.concepts(nk1.parts(3), site),
        name=names[0] if names else {},
        telecom=[found for part in phones if (found := datatypes.contact(part, ""))],
        address=places[0] if places else {},
    )
