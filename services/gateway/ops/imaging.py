"""GET /ops/models, GET /ops/imaging/{study}: which model reads images, and what took a study.

UIDs in the answers are those of the analysis zone: they name a series and nobody.
"""

from __future__ import annotations

import json
import re
from typing import Any

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1.imaging_findings_pb2 import Decision, Function, SeriesUse
from dxmesh.imaging.v1.imaging_service_pb2 import ExplainCaseResponse, ExplainedPart, Model
from starlette.responses import JSONResponse, Response

from services.gateway.call import Call
from services.gateway.store.dicom import Wanted
from services.kernel.errors import NotFound

UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


async def list_models(call: Call) -> Response:
    """List the models that read images, whether each would answer, and their cards."""
    answer = await call.gateway.peers.models()
    return JSONResponse({"models": [_model(one) for one in answer.models]})


async def explain(call: Call) -> Response:
    """Tell which reading took which series of a study or case, by which rule, and why not."""
    asked = call.path("study")
    cases = await _cases_of(call, asked) if UID.fullmatch(asked) else [asked]
    if not cases:
        raise NotFound("no case with a report holds this study; ask by the case's id until then")
    told = []
    for case_id in cases:
        await call.store.cases.get(call.tenant, case_id)  # the tenant's own, or it is not found
        answer = await call.gateway.peers.explain(call.tenant, case_id)
        told.append(_case(case_id, answer))
    return JSONResponse({"cases": told})


async def _cases_of(call: Call, uid: str) -> list[str]:
    found: list[str] = []
    async for batch in call.store.dicom.studies(call.tenant, Wanted(studies=[uid])):
        for same in batch:
            found += [study.case_id for study in same if study.case_id not in found]
    return found


def _model(one: Model) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "ready": one.ready,
        "card": json.loads(one.card_json),
    }


def _case(case_id: str, answer: ExplainCaseResponse) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "parts": [_part(part) for part in answer.parts],
        "running": [
            {"part": one.part_id, "reading": one.reader, "done": one.done} for one in answer.running
        ],
    }


def _part(part: ExplainedPart) -> dict[str, Any]:
    decisions: dict[str, list[Decision]] = {}
    for one in part.decisions:
        decisions.setdefault(one.series_instance_uid, []).append(one)
    return {
        "part": part.part_id,
        "series": [_series(use, decisions.get(use.series_instance_uid, [])) for use in part.series],
    }


def _series(use: SeriesUse, decisions: list[Decision]) -> dict[str, Any]:
    return {
        "series": use.series_instance_uid,
        "modality": use.modality,
        "slices": use.slices,
        "spacing_mm": use.spacing_mm,
        "pixel_mm": use.pixel_mm,
        "read": use.read,
        **_why(use.refusal if use.HasField("refusal") else None),
        "readings": [
            {
                "reading": Function.Name(one.function).removeprefix("FUNCTION_").lower(),
                "rule": one.rule,
                "read": one.read,
                **_why(one.refusal if one.HasField("refusal") else None),
            }
            for one in decisions
        ],
    }


def _why(refusal: Refusal | None) -> dict[str, Any]:
    if refusal is None:
        return {"reason": "", "message": "", "facts": {}}
    return {
        "reason": refusal.reason,
        "message": refusal.message,
        "facts": dict(refusal.facts),
    }
