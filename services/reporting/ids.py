"""Resource ids: the same case and local id give the same resource in every version.

Version 5 UUIDs (RFC 9562, section 5.5), so a later version updates what an earlier one made.
"""

from __future__ import annotations

import uuid

from dxmesh.event.v1.model_use_pb2 import ModelUse

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:dxmesh:fhir")


def resource_id(case_id: str, *local: str) -> str:
    """Return the id of a resource of a case; `local` names it within the case."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join((case_id, *local))))


def device_id(model: ModelUse) -> str:
    """Return the id of a model's Device: shared by every case the model speaks in."""
    local = "\x1f".join(("device", model.name, model.version, model.model_sha256))
    return str(uuid.uuid5(_NAMESPACE, local))
