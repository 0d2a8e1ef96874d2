"""Results read outside a mesh, for `dxmesh labs interpret` and `dxmesh labs unmapped`. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from services.kernel import fhir
from services.kernel.errors import InvalidInput
from services.labs import critical, local_codes, nearest, ranges, specimens, tables
from services.labs.desk import documents
from services.labs.findings import findings
from services.labs.interpret import Result, Site, interpret
from services.labs.lenient import list_of, mapping_of, text_of
from services.labs.local_codes import COLUMNS
from services.labs.matching import unit_of
from services.labs.reasons import UNMAPPED

Json = dict[str, Any]


def answer(request: Mapping[str, Any]) -> Json:
    """Answer `{"do": "interpret" | "unmapped", …}`.

    `documents` are FHIR JSON texts, several are answered as `parts`; `mappings`, `ranges` and
    `limits` the texts of a tenant's tables; `subject` what is stated of the person; `now` when
    the results were received.

    Raises
    ------
    InvalidInput
        Says what cannot be read.
    """
    texts = [text_of(each) for each in list_of(request.get("documents"))]
    stated = mapping_of(request.get("subject"))
    site = _site(request)
    parts = [documents.part_of(fhir.parse(text.encode()), stated) for text in texts]
    if request.get("do") == "unmapped":
        results = [
            each for part in parts for each in interpret(part.measured, part.subject, site=site)
        ]
        return {"columns": [*COLUMNS, "nearest", "results"], "rows": unmapped(results)}
    if request.get("do") != "interpret" or not parts:
        raise InvalidInput("the request names nothing to do")
    limits = text_of(request.get("limits"))
    table = critical.before(critical.load(tables.parse(limits))) if limits else critical.DEFAULTS
    now = _moment(text_of(request.get("now")))
    found = [
        MessageToDict(findings(part, table, site=site, now=now), preserving_proto_field_name=True)
        for part in parts
    ]
    return found[0] if len(found) == 1 else {"parts": found}


def unmapped(results: Sequence[Result]) -> list[Json]:
    """Return one row of a tenant's table for each code or name that is not matched, most first."""
    rows: dict[tuple[str, ...], Json] = {}
    for result in results:
        if result.reason is None or result.reason.reason not in UNMAPPED:
            continue
        item = result.measured
        system, code = next(iter(item.local), ("", ""))
        if not code and item.loinc:
            system, code = "http://loinc.org", item.loinc[0]
        unit = item.quantity.unit or item.quantity.code if item.quantity else ""
        name = item.names[0] if item.names else ""
        key = (system, code) if code else ("", "", name, item.specimen)
        row = rows.setdefault(
            key,
            dict.fromkeys(COLUMNS, "")
            | {"system": system, "code": code, "name": name, "specimen": item.specimen}
            | {"unit": unit, "nearest": _nearest(result), "results": 0},
        )
        row["results"] += 1
    return sorted(rows.values(), key=lambda row: (-row["results"], row["code"], row["name"]))


def _nearest(result: Result) -> str:
    item, unit = result.measured, unit_of(result.measured)
    found = nearest.to(item.names, specimens.class_of(item.specimen), unit.ucum if unit else "")
    return "; ".join(f"{each.thing.analyte_id} {each.shown}" for each in found)


def _site(request: Mapping[str, Any]) -> Site:
    mappings, own = text_of(request.get("mappings")), text_of(request.get("ranges"))
    return Site(
        local_codes.load(tables.parse(mappings)) if mappings else local_codes.NONE,
        ranges.load(tables.parse(own)) if own else None,
    )


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
