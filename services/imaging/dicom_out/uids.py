"""UIDs made from what an object says: the same reading gives the same, another model others.

`2.25.` and a 128-bit number (PS3.5 B.2), of the SHA-256 over everything an object is made from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from dxmesh.event.v1.model_use_pb2 import ModelUse
from pydicom.uid import UID

from services.imaging.reading import ReadSource

RELEASE = "2"
"""Raised when the same findings are written otherwise, since the same UID is the same content."""


def of(*parts: str | bytes) -> UID:
    """Return the UID that stands for these parts, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return UID(f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}")


def seed(series_uid: str, sop_uids: Iterable[str], read: Sequence[ReadSource]) -> bytes:
    """Return a digest of all that the objects of one series are made from."""
    digest = hashlib.sha256(RELEASE.encode())
    for text in (series_uid, *sop_uids, *(_model(m) for one in read for m in one.models)):
        digest.update(text.encode() + b"\0")
    for one in read:
        digest.update(one.reading.answer.SerializeToString(deterministic=True))
        for lesion in one.reading.lesions:
            digest.update(lesion.finding.SerializeToString(deterministic=True))
            digest.update(repr(lesion.start).encode())
            if lesion.mask is not None:
                digest.update(repr(lesion.mask.shape).encode() + lesion.mask.tobytes())
        if drawn := one.reading.annotations:
            if drawn.heat_map:
                digest.update(
                    drawn.heat_map.values.tobytes() + repr(drawn.heat_map.cell_px).encode()
                )
            if drawn.nuclei:
                digest.update(drawn.nuclei.centroids.tobytes())
                for polygon in drawn.nuclei.polygons:
                    digest.update(polygon.tobytes())
    return digest.digest()


def device(model: ModelUse) -> UID:
    """Return the Device UID of a model in one version: another one after a retraining."""
    return of("device", model.name, model.version, model.model_sha256)


def _model(model: ModelUse) -> str:
    return f"{model.name}/{model.version}/{model.model_sha256}"
