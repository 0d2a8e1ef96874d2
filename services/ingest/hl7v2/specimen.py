"""SPM, or OBR-15 of older messages, as Specimen. Pure.

Source: v2-to-FHIR SPM[Specimen], OBR[Specimen], SPS[Specimen-Source].
"""

from __future__ import annotations

from typing import Any

from services.ingest.hl7v2 import datatypes, moments
from services.ingest.hl7v2.codes import IDENTIFIER_TYPE
from services.ingest.hl7v2.datatypes import present
from services.ingest.hl7v2.observation import Surroundings
from services.ingest.hl7v2.order import Group
from services.ingest.hl7v2.reader import Segment

Json = dict[str, Any]

SPM_READ = frozenset((1, 2, 4, 7, 8, 14, 17, 18, 20, 21, 24, 30))
_AVAILABLE = {"Y": "available", "N": "unavailable"}


def specimens(group: Group, around: Surroundings, subject: Json) -> list[Json]:
    """Return the specimens of an order: of its SPM segments, else of OBR-15."""
    if group.specimens:
        return [_of_spm(each, around, subject) for each in group.specimens]
    source = _of_obr(group, around, subject)
    return [source] if source else []


def collected(specimen: Json) -> str:
    """Return when a specimen was taken; empty: not stated."""
    found = specimen.get("collection", {})
    return str(found.get("collectedDateTime") or found.get("collectedPeriod", {}).get("start", ""))


def _of_spm(spm: Segment, around: Surroundings, subject: Json) -> Json:
    site, zone = around.site, around.zone
    start, end = (moments.moment(spm.text(17, n), zone) for n in (1, 2))
    accession, rejected = spm.parts(30), datatypes.concepts(spm.parts(21), site)
    return present(
        resourceType="Specimen",
        identifier=_numbers(spm),
        accessionIdentifier=datatypes.identifier(accession[0], site, "") if accession else {},
        status="unsatisfactory" if rejected else _AVAILABLE.get(spm.text(20), ""),
        type_=datatypes.concept(spm.part(4), site),
        subject=subject,
        receivedTime=moments.moment(spm.text(18), zone),
        collection=present(
            collectedDateTime="" if end else start,
            collectedPeriod=present(start=start, end=end) if end else {},
            method=datatypes.concept(spm.part(7), site),
            bodySite=datatypes.concept(spm.part(8), site),
        ),
        # The map has no element for why a specimen was rejected: it is a condition of it, too.
        condition=[*datatypes.concepts(spm.parts(24), site), *rejected],
        note=[{"text": text} for part in spm.parts(14) if (text := part.whole())],
    )


def _numbers(spm: Segment) -> list[Json]:
    """Return placer and filler number of an EIP: each an EI of subcomponents."""
    made = []
    for component, kind in ((1, "PLAC"), (2, "FILL")):
        if value := spm.text(2, component, 1):
            coding = [{"system": IDENTIFIER_TYPE, "code": kind}]
            made.append({"type": {"coding": coding}, "value": value})
    return made


def _of_obr(group: Group, around: Surroundings, subject: Json) -> Json:
    """Return the specimen of OBR-15, an SPS whose components are CE or CWE of subcomponents."""
    obr = group.obr
    code, label = obr.text(15, 1, 1), obr.text(15, 1, 2)
    site_code, site_label = obr.text(15, 4, 1), obr.text(15, 4, 2)
    note = obr.text(15, 3)
    if not (code or label or note):
        return {}
    start, end = (moments.moment(obr.text(n), around.zone) for n in (7, 8))
    return present(
        resourceType="Specimen",
        type_=_plain(code, label),
        subject=subject,
        receivedTime=moments.moment(obr.text(14), around.zone),
        collection=present(
            collectedDateTime="" if end else start,
            collectedPeriod=present(start=start, end=end) if end else {},
            bodySite=_plain(site_code, site_label),
        ),
        note=[{"text": note}] if note else [],
    )


def _plain(code: str, label: str) -> Json:
    """Return a concept of a code and its name alone."""
    return present(coding=[{"code": datatypes.coded(code)}] if code else [], text=label or code)
