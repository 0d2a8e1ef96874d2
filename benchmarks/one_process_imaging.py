"""The imaging part of a case through the service's own pure functions, in this process.

Understand, route, read, draw, merge, and write DICOM objects, in the worker's order: no bus, no
blobs, no encryption, no thread, and models asked without a server.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dxmesh.event.v1.blob_ref_pb2 import BlobRef
from dxmesh.imaging.v1.imaging_findings_pb2 import ImagingFindings

from services.imaging import findings, key_image
from services.imaging.dicom_out import write
from services.imaging.findings import Part, Taken
from services.imaging.fractures.reader import FractureReader
from services.imaging.haemorrhage.reader import HaemorrhageReader
from services.imaging.nodules.reader import NoduleReader
from services.imaging.pathology.reader import PathologyReader
from services.imaging.reading import Context, ModelMissing, Reader, Tensors
from services.imaging.routing import explain, rules
from services.imaging.routing.decide import decide
from services.imaging.series import archive
from services.imaging.series.facts import Facts
from services.imaging.series.sources import Source
from services.imaging.series.understand import understand
from services.imaging.series.volume import Volume
from services.kernel.inference import ModelGone, OnnxInference, read_model

READERS: tuple[Reader[Any], ...] = (
    HaemorrhageReader(),
    NoduleReader(),
    FractureReader(),
    PathologyReader(),
)
PART = "imaging-1"


@dataclass
class Images:
    """What came of the imaging part."""

    found: ImagingFindings
    pictures: dict[str, bytes]
    """Key images by the name of their blob."""
    objects: list[bytes] = field(default_factory=list)
    """DICOM objects."""


class Here:
    """Asks models in this process."""

    def __init__(self, models: Path) -> None:
        self._models = models
        self._onnx = OnnxInference(models)

    def __call__(self, model: str, inputs: Tensors) -> dict[str, Any]:
        """Return a model's outputs; see `reading.Ask`."""
        try:
            return self._onnx.run(model, inputs)
        except ModelGone as error:
            raise ModelMissing(error.message, model=model) from error

    @functools.cache  # noqa: B019  # one for the life of a benchmark
    def card(self, name: str) -> Mapping[str, Any]:
        """Return a model's card; raises ModelMissing."""
        try:
            return read_model(self._models, name).card
        except ModelGone as error:
            raise ModelMissing(error.message, model=name) from error


def read(series: list[bytes], ask: Here, case_id: str, folder: Path) -> Images:
    """Return what the imaging service would find in these archives; files lie in `folder`."""
    book, part = rules.read(explain.default_table()), Part()
    names = [reader.name for reader in READERS]
    for number, content in enumerate(series):
        facts, place = Facts(), folder / str(number)
        place.mkdir()
        part.series.append(facts)
        files = archive.spooled(content, place)
        for source in understand(files, facts):
            for reader, choice in zip(READERS, decide(facts, source, book, names), strict=True):
                part.decisions.append(explain.decision(choice, reader.function, facts.series_uid))
                if choice.read and choice.rule:
                    taken = _taken(reader, facts, source, choice.rule.options, ask)
                    taken.files = [file.path for file in files if file.path]
                    part.taken.append(taken)
    findings.finish(part, case_id, PART)
    found, pictures = findings.compose(part)
    named = {}
    for image in found.key_images:
        name = f"findings/{PART}-{image.image_id}.png"
        named[name] = pictures[image.image_id]
        image.blob.CopyFrom(BlobRef(name=name, size=len(named[name])))
    objects = []
    for one in write.objects(part.taken):
        derived = findings.derived(one)
        derived.blob.name = f"dicom/{PART}-{one.sop_instance_uid}.dcm"
        derived.blob.size = len(one.content)
        found.derived.append(derived)
        objects.append(one.content)
    return Images(found, named, objects)


def _taken(
    reader: Reader[Any], facts: Facts, source: Source, options: Mapping[str, Any], ask: Here
) -> Taken:
    context = Context(age_years=facts.age_years, sex=facts.sex, options=options, card=ask.card)
    reading = reader.read(source, context, ask)
    kept = source
    if isinstance(source, Volume):
        kept = dataclasses.replace(source, hu=np.broadcast_to(np.int16(0), source.hu.shape))
    taken = Taken(facts=facts, source=kept, files=(), reading=reading)
    for lesion in reading.lesions:
        place = lesion.finding.place
        key = (place.sop_instance_uid, place.frame)
        if key not in taken.drawn:
            picture = key_image.draw(source, place, options)
            if picture is not None:
                taken.drawn[key] = picture
    return taken
