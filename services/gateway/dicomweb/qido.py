"""QIDO-RS: searches for studies, series and instances (DICOM PS3.18 10.6), from the index alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import orjson
from starlette.responses import Response

from services.gateway.access import trail
from services.gateway.call import Call
from services.gateway.dicomweb import accept, attributes, query, rights, wado, wanted
from services.gateway.dicomweb.attributes import INSTANCE, SERIES, STUDY
from services.gateway.dicomweb.query import Query
from services.gateway.store.dicom import Attributes, Series, Study, Wanted

PARTIAL = '299 dxmesh "There are additional results that can be requested"'


@dataclass(frozen=True, slots=True)
class Line:
    """One answer to a search."""

    study: Study
    parts: list[tuple[str, Attributes]]
    """Level and what is said of it, from the study down."""
    series: Series | None = None


async def studies(call: Call) -> Response:
    """Search for studies."""
    return await _search(call, STUDY)


async def series(call: Call) -> Response:
    """Search for series, of every study or of one."""
    return await _search(call, SERIES)


async def instances(call: Call) -> Response:
    """Search for instances, of every study, of one, or of one series."""
    return await _search(call, INSTANCE)


async def _search(call: Call, level: str) -> Response:
    visibility = rights.require(call, rights.SEARCH)
    accept.takes_json(wanted.accepted(call))
    asked = query.parse(call.request.query_params.multi_items(), level)
    await wanted.archive_of(call).catch_up(call.tenant)
    found: list[Line] = []
    skipped, more = 0, False
    async for batch in call.store.dicom.studies(call.tenant, _narrowed(call, asked)):
        shown = await rights.seen(call, visibility, [one for group in batch for one in group])
        async for line in _lines(call, asked, level, _grouped(shown)):
            skipped += 1
            if skipped <= asked.offset:
                continue
            more = len(found) == asked.limit
            if more:
                break
            found.append(line)
        if more:
            break
    await _note(call, found)
    headers = {"Warning": PARTIAL} if more else None
    if not found:
        return Response(status_code=204, headers=headers)
    content = orjson.dumps([_said(call, asked, line) for line in found])
    return Response(content, headers=headers, media_type=accept.DICOM_JSON)


def _narrowed(call: Call, asked: Query) -> Wanted:
    """Return what the database can leave out by itself."""
    path = call.request.path_params
    uids, days = asked.one("StudyInstanceUID"), asked.one("StudyDate")
    patient, accession = asked.one("PatientID"), asked.one("AccessionNumber")
    within = [str(path["study"])[:64]] if "study" in path else (uids.listed if uids else [])
    return Wanted(
        studies=within,
        days=days.days if days and days.value else (0, 0),
        patient_id=patient.exact if patient else "",
        accession=accession.exact if accession else "",
    )


def _grouped(studies: Sequence[Study]) -> list[list[Study]]:
    """Return the studies by UID: one may have come in several cases."""
    groups: dict[str, list[Study]] = {}
    for study in studies:
        groups.setdefault(study.uid, []).append(study)
    return list(groups.values())


async def _lines(
    call: Call, asked: Query, level: str, groups: Sequence[Sequence[Study]]
) -> AsyncIterator[Line]:
    for group in groups:
        said = group[0].attributes
        held: list[Series] = []
        if len(group) > 1 or level != STUDY:
            cases = {study.case_id for study in group}
            every = await call.store.dicom.series(call.tenant, group[0].uid)
            held = wanted.merged([one for one in every if one.case_id in cases])
            said = said | attributes.sums_of(held)
        if not all(condition.holds(said) for condition in asked.of(STUDY)):
            continue
        if level == STUDY:
            yield Line(group[0], [(STUDY, said)])
            continue
        for one in held:
            for parts in _of_series(call, asked, level, one):
                yield Line(group[0], [(STUDY, said), *parts], one)


def _of_series(
    call: Call, asked: Query, level: str, one: Series
) -> Iterator[list[tuple[str, Attributes]]]:
    if call.request.path_params.get("series", one.uid) != one.uid:
        return
    said = one.attributes | attributes.value("00201209", len(one.instances))
    if not all(condition.holds(said) for condition in asked.of(SERIES)):
        return
    if level == SERIES:
        yield [(SERIES, said)]
        return
    for instance in one.instances:
        if all(condition.holds(instance.attributes) for condition in asked.of(INSTANCE)):
            syntax = attributes.value("00083002", instance.syntax)
            yield [(SERIES, said), (INSTANCE, instance.attributes | syntax)]


def _said(call: Call, asked: Query, line: Line) -> Attributes:
    """Return an answer: attributes of its level, and those of higher ones the path leaves open."""
    level = line.parts[-1][0]
    path = call.request.path_params
    said: Attributes = attributes.value("00080005", "ISO_IR 192")
    for part, known in line.parts:
        given = (part == STUDY and "study" in path) or (part == SERIES and "series" in path)
        for tag, one in known.items():
            named = tag in asked.include or tag == attributes.UIDS[part]
            if named or (asked.says(part, tag) and not (given and part != level)):
                said[tag] = one
    address = f"{call.base_url}/dicom-web/studies/{line.study.uid}"
    if line.series:
        address = wado.address(call, line.series)
    if level == INSTANCE:
        uid = attributes.first(line.parts[-1][1], attributes.UIDS[INSTANCE])
        address = f"{address}/instances/{uid}"
    return said | attributes.value("00081190", address) | attributes.value("00080056", "ONLINE")


async def _note(call: Call, found: Sequence[Line]) -> None:
    studies = [line.study for line in found]
    await call.audit(
        wanted.QUERY,
        rights.KIND,
        seen=[study.resource for study in studies if study.resource],
        patient=[study.patient for study in studies],
        query=trail.query_of(call.request),
    )
