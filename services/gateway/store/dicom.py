"""What DICOMweb serves, by study and series; identity is sealed under the tenant's key."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import and_, delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.store.database import Cipher, Database, upsert
from services.gateway.store.dicom_tables import DICOM_CASES, DICOM_SERIES, DICOM_STUDIES
from services.gateway.store.tables import CASES
from services.kernel.crypto import KeyedHash

Attributes = dict[str, Any]
"""Attributes in the DICOM JSON model (PS3.18 F): tag → {vr, Value}."""
HASH_DIGITS = 32
BATCH = 200
"""Studies that are looked at in one go."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One DICOM object and where it lies."""

    uid: str
    sop_class: str
    syntax: str
    """Transfer Syntax UID as stored."""
    blob: str
    """Name of the blob it lies in."""
    at: int
    """First byte of the file within the blob."""
    size: int
    pixels: int
    """First byte of the pixel data element within the file; 0: it has none."""
    frames: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a case."""

    case_id: str
    study: str
    uid: str
    made: bool
    """Whether the mesh made it: times of its making are true and were never shifted."""
    attributes: Attributes
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """One study of a case, with identity restored."""

    case_id: str
    uid: str
    patient: str
    """Reference of its Patient, "Patient/id"."""
    resource: str
    """Reference of its ImagingStudy; empty when none was submitted."""
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the database can narrow a search for studies to; an empty field narrows nothing."""

    studies: Sequence[str] = ()
    """Study Instance UIDs."""
    days: tuple[int, int] = (0, 0)
    """First and last study date, YYYYMMDD."""
    patient_id: str = ""
    accession: str = ""


class DicomIndex:
    """The index of every tenant."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def behind(self, tenant: str = "", limit: int = 50) -> list[tuple[str, str, int]]:
        """Return tenant, id and version of cases whose report is newer than what is indexed."""
        same = and_(
            CASES.c.tenant == DICOM_CASES.c.tenant, CASES.c.case_id == DICOM_CASES.c.case_id
        )
        query = (
            select(CASES.c.tenant, CASES.c.case_id, CASES.c.report_version)
            .outerjoin(DICOM_CASES, same)
            .where(CASES.c.report_version > 0)
            .where(
                or_(DICOM_CASES.c.version.is_(None), DICOM_CASES.c.version < CASES.c.report_version)
            )
            .order_by(CASES.c.updated_us.desc())
            .limit(limit)
        )
        if tenant:
            query = query.where(CASES.c.tenant == tenant)
        async with self._db.read() as connection:
            return [(row[0], row[1], row[2]) for row in await connection.execute(query)]

    async def put(
        self, tenant: str, case_id: str, version: int, studies: list[Study], series: list[Series]
    ) -> None:
        """Replace what is known of a case."""
        cipher, hasher = await self._db.cipher_for(tenant), await self._db.hasher_for(tenant)
        study_rows = [_study_row(cipher, hasher, tenant, study) for study in studies]
        series_rows = [_series_row(cipher, hasher, tenant, one) for one in series]
        mark = {"tenant": tenant, "case_id": case_id, "version": version}
        async with self._db.begin() as connection:
            await upsert(connection, DICOM_CASES, mark)
            await _forget(connection, tenant, case_id)
            if study_rows:
                await connection.execute(insert(DICOM_STUDIES), study_rows)
            if series_rows:
                await connection.execute(insert(DICOM_SERIES), series_rows)

    async def forget(self, tenant: str, case_id: str) -> None:
        """Forget a case whose content is destroyed."""
        async with self._db.begin() as connection:
            await _forget(connection, tenant, case_id)

    async def studies(self, tenant: str, wanted: Wanted) -> AsyncIterator[list[list[Study]]]:
        """Yield studies in batches, latest first, each as every case it came in has it."""
        hasher, cipher = await self._db.hasher_for(tenant), await self._db.cipher_for(tenant)
        table = DICOM_STUDIES.c
        query = select(DICOM_STUDIES).where(table.tenant == tenant)
        if wanted.studies:
            hashes = [_hash(hasher, "study", uid) for uid in wanted.studies]
            query = query.where(table.study.in_(hashes))
        if wanted.days != (0, 0):
            first, last = wanted.days
            query = query.where(table.day.between(_packed(first), _packed(last)))
        if wanted.patient_id:
            query = query.where(table.patient == _hash(hasher, "patient-id", wanted.patient_id))
        if wanted.accession:
            query = query.where(table.accession == _hash(hasher, "accession", wanted.accession))
        query = query.order_by(table.day.desc(), table.study, table.case_id)
        place: tuple[int, str, str] | None = None
        groups: list[tuple[str, list[Study]]] = []
        while True:
            page = query
            if place:
                day, study, case_id = place
                later = and_(table.study == study, table.case_id > case_id)
                page = page.where(
                    or_(table.day < day, and_(table.day == day, or_(table.study > study, later)))
                )
            async with self._db.read() as connection:
                rows = (await connection.execute(page.limit(BATCH))).mappings().all()
            for row in rows:
                if not groups or groups[-1][0] != row["study"]:
                    groups.append((row["study"], []))
                groups[-1][1].append(_study(cipher, dict(row)))
            last = len(rows) < BATCH
            # The last study may go on in the next rows.
            ready, groups = (groups, []) if last else (groups[:-1], groups[-1:])
            if ready:
                yield [group for _, group in ready]
            if last:
                return
            place = (rows[-1]["day"], rows[-1]["study"], rows[-1]["case_id"])

    async def series(self, tenant: str, study: str, series: str = "") -> list[Series]:
        """Return the series of a study, of every case, or the one with a UID."""
        hasher, cipher = await self._db.hasher_for(tenant), await self._db.cipher_for(tenant)
        table = DICOM_SERIES.c
        query = select(DICOM_SERIES).where(
            table.tenant == tenant, table.study == _hash(hasher, "study", study)
        )
        if series:
            query = query.where(table.series == _hash(hasher, "series", series))
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_series(cipher, dict(row)) for row in rows]

    async def of_case(self, tenant: str, case_id: str) -> list[Series]:
        """Return every series of a case."""
        cipher, table = await self._db.cipher_for(tenant), DICOM_SERIES.c
        query = select(DICOM_SERIES).where(table.tenant == tenant, table.case_id == case_id)
        async with self._db.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_series(cipher, dict(row)) for row in rows]


async def _forget(connection: AsyncConnection, tenant: str, case_id: str) -> None:
    for table in (DICOM_STUDIES, DICOM_SERIES):
        query = delete(table).where(table.c.tenant == tenant, table.c.case_id == case_id)
        await connection.execute(query)


def _hash(hasher: KeyedHash, domain: str, value: str) -> str:
    return hasher(f"dicom-{domain}", value)[:HASH_DIGITS] if value else ""


def _first(attributes: Attributes, tag: str) -> str:
    value = attributes.get(tag, {}).get("Value", [""])[0]
    return str(value)


def _packed(day: int) -> int:
    """Return YYYYMMDD in the order of days but in other digits: no date lies there to be read."""
    year, rest = divmod(day, 10_000)
    month, of_month = divmod(rest, 100)
    return year << 14 | month << 7 | of_month


def _study_row(cipher: Cipher, hasher: KeyedHash, tenant: str, study: Study) -> dict[str, Any]:
    day = _first(study.attributes, "00080020")
    key = _hash(hasher, "study", study.uid)
    return {
        "tenant": tenant,
        "study": key,
        "case_id": study.case_id,
        "day": _packed(int(day)) if len(day) == 8 and day.isdigit() else 0,
        "patient": _hash(hasher, "patient-id", _first(study.attributes, "00100020")),
        "accession": _hash(hasher, "accession", _first(study.attributes, "00080050")),
        "sealed": cipher.encrypt(
            orjson.dumps(asdict(study)), f"{DICOM_STUDIES.name}/{tenant}/{study.case_id}/{key}"
        ),
    }


def _study(cipher: Cipher, row: dict[str, Any]) -> Study:
    context = f"{DICOM_STUDIES.name}/{row['tenant']}/{row['case_id']}/{row['study']}"
    return Study(**orjson.loads(cipher.decrypt(row["sealed"], context)))


def _series_row(cipher: Cipher, hasher: KeyedHash, tenant: str, one: Series) -> dict[str, Any]:
    key = _hash(hasher, "series", one.uid)
    context = f"{DICOM_SERIES.name}/{tenant}/{one.case_id}/{key}"
    return {
        "tenant": tenant,
        "study": _hash(hasher, "study", one.study),
        "series": key,
        "case_id": one.case_id,
        # A thousand instances say nearly the same.
        "sealed": cipher.encrypt(zlib.compress(orjson.dumps(asdict(one)), 3), context),
    }


def _series(cipher: Cipher, row: dict[str, Any]) -> Series:
    context = f"{DICOM_SERIES.name}/{row['tenant']}/{row['case_id']}/{row['series']}"
    plain = orjson.loads(zlib.decompress(cipher.decrypt(row["sealed"], context)))
    instances = tuple(Instance(**one) for one in plain.pop("instances"))
    return Series(**plain, instances=instances)
