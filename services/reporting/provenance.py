"""Devices and Provenance: which model, in which version, said what from which input.

Follows HL7 AI Transparency on FHIR: a Device of type Artificial-Intelligence, a Provenance
whose reason is AIAST and whose agent is that Device, an entity for the input. In R4 a Device
may not be a performer, so Observations point to it by `device`.
"""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.event.v1.model_use_pb2 import ModelUse

from services.reporting import codes
from services.reporting.draft import Draft, Part, Topic
from services.reporting.elements import Json, extension, instant, period, reference
from services.reporting.ids import device_id

SHA256 = "urn:dxmesh:sha256"
MODEL_SHA256 = "urn:dxmesh:model-sha256"
MODEL_CARD = "urn:dxmesh:model-card"
"""Identifier system of a model card: the model's name and version."""


def devices(parts: Sequence[Part]) -> list[Json]:
    """Return one Device for each model of the parts."""
    models = {device_id(model): model for part in parts for model in part.models}
    return [_device(made_id, model) for made_id, model in models.items()]


def of_part(draft: Draft, part: Part, topic: Topic, report: Json) -> list[Json]:
    """Return one Provenance per model of a part, over what it made; over all where nobody says."""
    made = []
    for model in part.models:
        own = topic.made_by.get(model.name, topic.observations)
        targets = [
            reference(each) for each in (*own, *topic.statements, *topic.media, *topic.objects)
        ]
        made.append(_provenance(draft, part, model, targets or [reference(report)]))
    return made


def _device(made_id: str, model: ModelUse) -> Json:
    device: Json = {
        "resourceType": "Device",
        "id": made_id,
        "status": "active",
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "type": codes.concept("ai-device"),
        "version": [{"value": model.version}],
    }
    if model.model_sha256:
        device["identifier"] = [{"system": MODEL_SHA256, "value": model.model_sha256}]
    return device


def _provenance(draft: Draft, part: Part, model: ModelUse, targets: list[Json]) -> Json:
    who = {"reference": f"Device/{device_id(model)}", "display": f"{model.name} {model.version}"}
    made: Json = {
        "resourceType": "Provenance",
        "id": draft.id(part.part_id, "provenance", model.name, model.version),
        "meta": {"security": [codes.coding("aiast")]},
        "target": targets,
        "recorded": instant(part.finished or draft.composed),
        "reason": [codes.concept("aiast")],
        "activity": codes.concept("create"),
        "agent": [{"type": codes.concept("author"), "who": who}],
        "entity": [{"role": "source", "what": _card(model)}],
    }
    if ran := period(part.started, part.finished):
        made["occurredPeriod"] = ran
    if model.runtime:
        made["extension"] = [extension("runtime", valueCode=model.runtime)]
    if model.input_sha256:
        what = {"identifier": {"system": SHA256, "value": model.input_sha256}, "display": "input"}
        made["entity"].insert(0, {"role": "source", "what": what})
    return made


def _card(model: ModelUse) -> Json:
    """Return a logical reference to the model card, which lies beside the model as `card.json`."""
    value = f"{model.name}/{model.version}"
    return {
        "type": "DocumentReference",
        "identifier": {"system": MODEL_CARD, "value": value},
        "display": "model card",
    }
