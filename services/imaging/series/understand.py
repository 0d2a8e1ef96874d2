"""One archive to what it shows: volumes, radiographs, a slide; or a refusal with its numbers.

    files = archive.spooled(content, folder)   # or archive.held(content): all in memory
    facts = Facts()
    sources = understand(files, facts)         # raises SeriesRefused; facts say how far it got

Refused is what cannot be understood at all. What a reading needs beyond (enough slices, even
distances, an upright stack, two lungs) is for routing and for the reading to ask:
`volume.even`, `volume.tilt_degrees`, `measurable.check(upright.upright(volume))`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from services.imaging.series import (
    build,
    headers,
    kinds,
    pixels,
    projection,
    refusals,
    slides,
    stacks,
    telling,
)
from services.imaging.series.archive import File
from services.imaging.series.decoding import Decode, decode_here
from services.imaging.series.facts import Facts, SetAside
from services.imaging.series.headers import Header
from services.imaging.series.kinds import Kind
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.sources import Source
from services.imaging.series.volume import Volume

VOXELS_MAX = 300_000_000
"""Of all volumes of a series together: 600 MB."""

PIXELS_MAX = 120_000_000
"""Of all radiographs of a series together: 480 MB."""


@dataclass(slots=True)
class _Sorted:
    """The images of an archive by kind, while they are read."""

    slices: list[Header] = field(default_factory=list)
    radiographs: list[tuple[Header, projection.Grading]] = field(default_factory=list)
    slides: list[Header] = field(default_factory=list)
    aside: list[SeriesRefused] = field(default_factory=list)
    damaged: list[SeriesRefused] = field(default_factory=list)
    told: bool = False
    voxels: int = 0


def understand(files: Sequence[File], facts: Facts, decode: Decode = decode_here) -> list[Source]:
    """Return the sources of an archive, largest volume first; fill `facts` as they become known.

    Parameters
    ----------
    files : the archive's entries; read one at a time, never all at once
    facts : filled in place
    decode : turns one compressed frame into stored values; the worker passes one that runs in
        a process of its own, since a native decoder can crash (docs/adr/0024)

    Raises
    ------
    SeriesRefused
        Nothing in the archive can be read: one of its types, with the numbers that show it.
    """
    facts.files = len(files)
    found = _Sorted()
    for index, file in enumerate(files):
        _sort(file, index, facts, found)
        if found.voxels > VOXELS_MAX:  # the rest is not looked at
            raise refusals.SeriesTooLarge(
                "a series has too many voxels",
                files=len(files),
                voxels=found.voxels,
                limit=VOXELS_MAX,
            )
    sources: list[Source] = []
    refused: list[SeriesRefused] = []
    if found.slides:
        sources.append(slides.dicom(files, found.slides))
    for read in (_volumes, _radiographs):
        try:
            sources += read(files, found, facts, decode)
        except SeriesRefused as error:
            refused.append(error)
    _account(facts, found.aside + found.damaged, refused if sources else [])
    if not sources:
        raise _telling_refusal(refused, found)
    return sources


def _sort(file: File, index: int, facts: Facts, found: _Sorted) -> None:
    """Read one file's header and put its images where they belong."""
    try:
        dataset, images = headers.read(file, index)
    except refusals.DamagedSeries as error:
        found.damaged.append(error)
        return
    try:
        with telling.readable():
            kind = kinds.kind_of(dataset, images[0])
            grading = projection.grading(dataset) if kind is Kind.RADIOGRAPH else None
            _tell(facts, dataset, images[0], found, first=not found.told)
    except SeriesRefused as error:
        found.aside.append(error)
        with telling.quiet():
            _tell(facts, dataset, images[0], found, first=False)
        return
    if kind is Kind.SLIDE:
        found.slides += images
    elif grading is not None:
        found.radiographs += [(image, grading) for image in images]
    else:
        found.slices += images
        found.voxels += sum(image.rows * image.columns for image in images if _is_sized(image))


def _is_sized(image: Header) -> bool:
    return max(image.rows, image.columns) <= pixels.SIDE_MAX  # else it is refused by its size


def _tell(facts: Facts, dataset: Dataset, image: Header, found: _Sorted, *, first: bool) -> None:
    """Note what a header says: of the first image that is kept, else of the first at all."""
    if first or not facts.sop_class:
        telling.tell(facts, dataset, image)
    found.told = found.told or first


def _volumes(files: Sequence[File], found: _Sorted, facts: Facts, decode: Decode) -> list[Volume]:
    if not found.slices:
        return []
    if found.damaged:
        raise refusals.DamagedSeries(
            "files among the slices cannot be read",
            damaged=len(found.damaged),
            slices=len(found.slices),
        ) from found.damaged[0]
    facts.slices = len(found.slices)
    slices = _without_pictures(found)
    for header in slices:
        pixels.check(header)
        headers.check_geometry(header)
    parts = stacks.parts(slices, lambda header: build.digest(files, header))
    found.aside += [error for _, error in parts.aside]
    read: list[Volume] = []
    refused: list[SeriesRefused] = []
    for slices, stack in parts.stacks:
        try:
            read.append(build.volume(files, slices, stack, decode))
        except SeriesRefused as error:
            refused.append(error)
    if not read:
        raise refused[0]
    found.aside += refused
    facts.slices = sum(len(volume.hu) for volume in read)
    facts.spacing_mm, facts.pixel_mm = read[0].spacing_mm[0], read[0].spacing_mm[2]
    return read


def _without_pictures(found: _Sorted) -> list[Header]:
    """Set aside what cannot be a slice among slices that can: pictures in colour, and those
    without any geometry. A slice that lacks a part of it still stops the series.
    """
    slices: list[Header] = []
    pictures: list[SeriesRefused] = []
    for header in found.slices:
        if header.stored.samples == 3 and header.stored.photometric not in pixels.GREY:
            pictures.append(refusals.DerivedImages("a picture in colour is no slice"))
        elif not (header.position or header.orientation or header.pixel_mm):
            pictures.append(refusals.SecondaryCapture("a picture without geometry is no slice"))
        else:
            slices.append(header)
    if not slices:
        return found.slices
    found.aside += pictures
    return slices


def _radiographs(
    files: Sequence[File], found: _Sorted, facts: Facts, decode: Decode
) -> list[Radiograph]:
    """Return every radiograph that can be read; one that cannot does not stop the others."""
    read: list[Radiograph] = []
    refused: list[SeriesRefused] = []
    room = PIXELS_MAX
    for header, grading in found.radiographs:
        try:
            projection.check(header, room)
            read += projection.radiographs(files[header.file], header, grading, decode)
            room -= header.rows * header.columns * header.frames
        except SeriesRefused as error:
            refused.append(error)
    if refused and not read:
        raise refused[0]
    found.aside += refused
    if read:
        facts.slices += len(read)
        facts.pixel_mm = facts.pixel_mm or (read[0].pixel_mm or (0.0,))[-1]
    return read


def _account(facts: Facts, aside: list[SeriesRefused], refused: list[SeriesRefused]) -> None:
    """Note what was left out, one entry for each reason."""
    counted = Counter(error.reason for error in aside + refused)
    examples = {error.reason: error for error in reversed(aside + refused)}
    facts.set_aside += [
        SetAside(reason, images, examples[reason].message, examples[reason].facts)
        for reason, images in counted.most_common()
    ]


def _telling_refusal(refused: list[SeriesRefused], found: _Sorted) -> SeriesRefused:
    """Return why nothing was read: of what could have been read, else the commonest reason."""
    if refused:
        return refused[0]
    if found.damaged and len(found.damaged) >= len(found.aside):
        return found.damaged[0]
    counted = Counter(error.reason for error in found.aside)
    commonest = counted.most_common(1)[0][0]
    return next(error for error in found.aside if error.reason == commonest)
