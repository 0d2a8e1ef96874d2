"""One patient's rows as a submission. Pure.

Each row is one Observation. A row that says nothing usable is listed by its number, never
dropped in silence; rows that contradict each other about who the patient is are all refused.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from dxmesh.ingest.v1.intake_manifest_pb2 import IntakeProblem

from services.ingest import patient as people
from services.ingest.corrections import ORDER
from services.ingest.csv_results.rows import File, PatientRows, Row, written
from services.ingest.hl7v2 import codes, convert, moments, ranges, values
from services.ingest.hl7v2.convert import Origin
from services.ingest.hl7v2.datatypes import coded, present
from services.ingest.hl7v2.observation import ABSENT, CATEGORY, CLOCKS_DIFFER, INTERPRETATION
from services.ingest.results import CSV, Results
from services.kernel import fhir
from services.kernel.errors import InvalidInput

Json = dict[str, Any]

SYSTEM = "urn:dxmesh:csv:patient"
"""System of patients' numbers where neither a column nor a setting names one."""
WHO = ("patient_name", "sex", "birth_date")
_SEX = {"男": "male", "女": "female", "male": "male", "female": "female", "未知": "unknown"}
_SEX |= {"m": "male", "f": "female", "o": "other", "u": "unknown", "other": "other"}
_STATUS = {"": "final", "已审核": "final", "初步": "preliminary", "更正": "corrected"}
_STATUS |= {"取消": "cancelled", "作废": "entered-in-error"}
_STATUS |= {each: each for each in ("final", "preliminary", "corrected", "amended", "cancelled")}
_FLAGS = {"高": "H", "偏高": "H", "低": "L", "偏低": "L", "正常": "N", "异常": "A"}
_FLAGS |= {"阳性": "POS", "阴性": "NEG"}
_DAY = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?",
    re.ASCII,
)


def results(content: bytes, file: File, rows: PatientRows, origin: Origin) -> Results:
    """Return the submission of one patient's rows.

    Raises
    ------
    InvalidInput
        PATIENT_CONFLICT, NO_RESULTS, TOO_MANY_RESULTS.
    """
    if len(rows.numbered) > origin.entries_max:
        raise InvalidInput(
            f"a patient has over {origin.entries_max} rows; send them in parts",
            reason="TOO_MANY_RESULTS",
        )
    original = content if len(file.patients) == 1 else written(file.header, rows)
    made = _Rows(rows, origin, hashlib.sha256(original).hexdigest())
    bundle = made.bundle()
    return Results(
        bundle=fhir.dump(bundle),
        original=original,
        media_type=CSV,
        digest=_said(rows),
        name=(),
        problems=made.problems,
    )


def _said(rows: PatientRows) -> str:
    """Return the SHA-256 of what the rows say, however the file is laid out."""
    told = [sorted((k, v) for k, v in cells.items() if v) for _, cells in rows.numbered]
    return hashlib.sha256(fhir.dump(told)).hexdigest()


class _Rows:
    """One patient's rows on their way into a Bundle."""

    def __init__(self, rows: PatientRows, origin: Origin, sha256: str) -> None:
        self._rows = rows
        self._origin = origin
        self._sha256 = sha256
        self.problems: list[IntakeProblem] = []

    def bundle(self) -> Json:
        """Return the submission."""
        who = self._patient()
        subject = {"reference": f"Patient/{who['id']}"}
        request = self._id(
            present(
                resourceType="ServiceRequest",
                identifier=self._orders(),
                status="completed",
                intent="order",
                code={"text": "laboratory results"},
                subject=subject,
            ),
            "request",
        )
        order = [{"reference": f"ServiceRequest/{request['id']}"}]
        found = [
            self._id(made | {"basedOn": order}, "result", str(number))
            for number, cells in self._rows.numbered
            if (made := self._observation(number, cells, subject))
        ]
        if not found:
            raise InvalidInput("no row of the patient can be used", reason="NO_RESULTS")
        entries = [who, request, *found, self._id(self._provenance(order), "provenance")]
        made_of: Json = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": each} for each in entries],
        }
        language = self._origin.site.language
        return made_of | ({"language": language} if language else {})

    def _id(self, resource: Json, *name: str) -> Json:
        key = (*self._rows.identity, self._sha256, *name)
        return resource | {"id": self._origin.names("result-id", *key)[:32]}

    def _patient(self) -> Json:
        said = {each: self._only(each) for each in WHO}
        system, value = self._rows.identity
        system = system or self._origin.site.identifier_system or SYSTEM
        coding = [{"system": codes.IDENTIFIER_TYPE, "code": "MR"}]
        made = present(
            resourceType="Patient",
            identifier=[{"type": {"coding": coding}, "system": system, "value": value}],
            name=[{"text": said["patient_name"]}] if said["patient_name"] else [],
            gender=_SEX.get(said["sex"].casefold(), ""),
            birthDate=_moment(said["birth_date"], "+00:00").partition("T")[0],
        )
        first = self._rows.numbered[0][0]
        for column, element in (("sex", "gender"), ("birth_date", "birthDate")):
            if said[column] and element not in made:
                self._list(first, "NOT_READ", f"the {column} is not understood and was left out")
        made["id"] = self._origin.names("patient-id", *people.key_of(made, ""))[:32]
        return made

    def _only(self, column: str) -> str:
        """Return what every row that says it says of the patient."""
        said = {cells[column] for _, cells in self._rows.numbered if cells.get(column)}
        if len(said) > 1:
            raise InvalidInput(
                f"rows of one patient contradict each other in {column}; correct the file",
                reason="PATIENT_CONFLICT",
            )
        return said.pop() if said else ""

    def _orders(self) -> list[Json]:
        found = [cells["order_id"] for _, cells in self._rows.numbered if cells.get("order_id")]
        coding = [{"system": codes.IDENTIFIER_TYPE, "code": "PLAC"}]
        return [{"type": {"coding": coding}, "value": each} for each in dict.fromkeys(found)]

    def _observation(self, number: int, cells: Row, subject: Json) -> Json:
        """Return a row's Observation; empty when it says nothing that can be used."""
        code = self._code(cells)
        if not code:
            self._list(number, "RESULT_WITHOUT_CODE", "the row has neither name nor code")
            return {}
        unit = {"unit": cells["unit"]} if cells.get("unit") else {}
        order = cells.get("order_id", "")
        return present(
            resourceType="Observation",
            status=self._status(number, cells),
            category=CATEGORY,
            code=code,
            subject=subject,
            effectiveDateTime=self._time(number, cells),
            interpretation=_flag(cells.get("flag", "")),
            note=[{"text": cells["comment"]}] if cells.get("comment") else [],
            referenceRange=self._range(number, cells, unit),
            specimen=_specimen(cells),
            extension=[{"url": ORDER, "valueString": order}] if order else [],
        ) | _value(cells.get("value", ""), unit)

    def _code(self, cells: Row) -> Json:
        site, code, name = self._origin.site, coded(cells.get("code", "")), cells.get("name", "")
        stated = cells.get("code_system", "")
        system = stated if ":" in stated else codes.system(stated.upper(), stated, site)
        coding = [present(system=system, code=code, display=name)] if code else []
        return present(coding=coding, text=name)

    def _status(self, number: int, cells: Row) -> str:
        stated = cells.get("status", "")
        found = _STATUS.get(stated.casefold()) or codes.code("result_status", stated.upper())
        if found:
            return found
        self._list(number, "RESULT_STATUS", "the status is not known; it is kept as unknown")
        return "unknown"

    def _time(self, number: int, cells: Row) -> str:
        stated = cells.get("time", "")
        found = _moment(stated, self._origin.site.utc_offset)
        if stated and not found:
            self._list(number, "TIME_NOT_READ", "the time is none and was left out")
        at = moments.instant(found)
        if at and at > self._origin.now + CLOCKS_DIFFER:
            text = "the result is dated in the future; it is kept, its time is not to be trusted"
            self._list(number, "RESULT_IN_FUTURE", text)
        return found

    def _range(self, number: int, cells: Row, unit: Json) -> list[Json]:
        low, high = cells.get("low", ""), cells.get("high", "")
        made = ranges.limits(low, high, unit) if low or high else {}
        if (low or high) and not made:
            self._list(number, "RANGE_NOT_READ", "the limits are no numbers, or cross")
        printed = ranges.reference_range(cells.get("range", ""), unit)
        found = printed | made
        return [found] if found else []

    def _provenance(self, order: list[Json]) -> Json:
        return convert.provenance(order, self._origin.now, self._sha256, "a CSV file")

    def _list(self, number: int, reason: str, message: str) -> None:
        problem = IntakeProblem(source=f"row {number}", reason=reason, message=message)
        self.problems.append(problem)


def _moment(text: str, zone: str) -> str:
    """Return a time as spreadsheets write it, or as HL7 does; empty when it is none."""
    found = _DAY.fullmatch(text)
    if not found:
        return moments.moment(text, zone)
    year, month, day, hour, minute, second = found.groups()
    clock = f"{int(hour):02}{minute}{second or '00'}" if hour else ""
    return moments.moment(f"{year}{int(month):02}{int(day):02}{clock}", zone)


def _value(text: str, unit: Json) -> Json:
    if not text:
        return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": "unknown"}]}}
    if found := values.quantity(text, unit):
        return {"valueQuantity": found}
    return values.of_text(text[: values.TEXT_CHARS_MAX], unit)


def _flag(text: str) -> list[Json]:
    if not text:
        return []
    if code := codes.code("interpretation", text.upper()) or _FLAGS.get(text, ""):
        return [{"coding": [{"system": INTERPRETATION, "code": code}]}]
    return [{"text": text}]


def _specimen(cells: Row) -> Json:
    number, kind = cells.get("specimen_id", ""), cells.get("specimen", "")
    known = {"value": number} if number else {}
    made = present(identifier=known, display=kind)
    return {"type": "Specimen"} | made if made else {}
