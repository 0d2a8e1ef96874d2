"""Which slices of one series belong together: copies dropped, mixed acquisitions split.

Split only where it is safe: every part is a clean stack by itself. What would leave a hole is
refused instead, by what the slices differ in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.imaging.series import geometry, refusals
from services.imaging.series.frames import APART
from services.imaging.series.geometry import STACK_MIN, Stack
from services.imaging.series.headers import Header
from services.imaging.series.refusals import SeriesRefused

PARALLEL = 1e-3
"""Largest difference of a direction's component between slices of one stack."""

ASTRAY_COSINE = 0.94
"""Images that lean more than 20 degrees against the stack are overviews, where they are few."""

VOLUMES_MAX = 8
Digest = Callable[[Header], bytes]


@dataclass(slots=True)
class Parts:
    """The stacks of a series, and what was left out."""

    stacks: list[tuple[list[Header], Stack]] = field(default_factory=list)
    aside: list[tuple[Header, SeriesRefused]] = field(default_factory=list)


def parts(headers: Sequence[Header], digest: Digest) -> Parts:
    """Return the stacks of a series, largest first.

    Parameters
    ----------
    headers : of slices, geometry checked
    digest : of an image's pixels as stored; asked only where two images may be copies

    Raises
    ------
    SeriesRefused
        One of its types, with the numbers that show it.
    """
    _check_same(headers)
    found = Parts()
    groups = _groups(headers)
    if len(groups) > 1:
        groups = _without_strays(groups, found)
    try:
        for group in groups:
            found.stacks += _stacks_of(_without_copies(group, digest, found), found)
    except SeriesRefused as error:
        if len(groups) > 1:
            raise _mixed(groups) from error
        raise
    found.stacks.sort(key=lambda one: -len(one[0]))
    if len(found.stacks) > VOLUMES_MAX:
        raise refusals.SeriesTooLarge(
            "a series holds too many volumes", volumes=len(found.stacks), limit=VOLUMES_MAX
        )
    return found


def _check_same(headers: Sequence[Header]) -> None:
    """Refuse images that no series can hold together."""
    people = len({header.person for header in headers})
    if people > 1:
        raise refusals.MixedPatients(
            "slices of different patients in one series", different=people, slices=len(headers)
        )
    series = len({(header.study_uid, header.series_uid) for header in headers})
    if series > 1:
        raise refusals.MixedSeries(
            "slices of several series in one series", different=series, slices=len(headers)
        )


def _groups(headers: Sequence[Header]) -> list[list[Header]]:
    """Return groups of parallel slices of one size and coordinate system, largest first."""
    groups: list[list[Header]] = []
    for header in headers:
        for group in groups:
            if _size(group[0]) == _size(header) and _parallel(group[0], header):
                group.append(header)
                break
        else:
            groups.append([header])
    return sorted(groups, key=len, reverse=True)


def _size(header: Header) -> tuple[object, ...]:
    spacing = (round(mm, 4) for mm in header.pixel_mm)
    return (header.frame_of_reference, header.rows, header.columns, *spacing)


def _parallel(one: Header, two: Header) -> bool:
    pairs = zip(one.orientation, two.orientation, strict=True)
    return max(abs(a - b) for a, b in pairs) <= PARALLEL


def _without_strays(groups: list[list[Header]], found: Parts) -> list[list[Header]]:
    """Set aside the few images that cut across the stack: overviews that do not say so."""
    normal = geometry.normal_of(groups[0][0])
    kept = []
    for group in groups:
        across = abs(float(geometry.normal_of(group[0]) @ normal)) < ASTRAY_COSINE
        if across and len(group) < STACK_MIN <= len(groups[0]):
            error = refusals.Localiser("an image across the stack is no slice of it")
            found.aside += [(header, error) for header in group]
        else:
            kept.append(group)
    return kept


def _mixed(groups: Sequence[Sequence[Header]]) -> SeriesRefused:
    """Return the refusal that says what slices differ in."""
    every = [group[0] for group in groups]
    slices = sum(map(len, groups))
    frames = len({header.frame_of_reference for header in every})
    if frames > 1:
        return refusals.MixedFramesOfReference(
            "slices of several frames of reference in one series", different=frames, slices=slices
        )
    sizes = len({_size(header) for header in every})
    if sizes > 1:
        return refusals.MixedPixelSpacing(
            "slices of different size or pixel spacing in one series",
            different=sizes,
            slices=slices,
        )
    spread = float(np.ptp(np.array([header.orientation for header in every]), axis=0).max())
    return refusals.MixedOrientation(
        "the slices of the series are not parallel", largest_difference=spread
    )


def _without_copies(group: list[Header], digest: Digest, found: Parts) -> list[Header]:
    """Drop images that are the same as another at the same place, pixel by pixel."""
    normal = geometry.normal_of(group[0])
    order, _, along = geometry.along_normal(group, normal)
    if len(group) < 2 or float(along.min()) >= geometry.SAME_PLACE_MM:
        return group
    kept: list[Header] = []
    seen: dict[tuple[int, bytes], None] = {}
    place = 0
    for at, number in enumerate(order):
        place += int(at > 0 and along[at - 1] >= geometry.SAME_PLACE_MM)
        header = group[int(number)]
        near = (at > 0 and along[at - 1] < geometry.SAME_PLACE_MM) or (
            at < len(along) and along[at] < geometry.SAME_PLACE_MM
        )
        key = (place, digest(header)) if near else (place, b"")
        if near and key in seen:
            error = refusals.DuplicateSlices("an exact copy of another image", copies=1)
            found.aside.append((header, error))
            continue
        seen[key] = None
        kept.append(header)
    return kept


def _stacks_of(group: list[Header], found: Parts) -> list[tuple[list[Header], Stack]]:
    """Return the stack of a group; its parts where they are several acquisitions."""
    refusal: SeriesRefused | None = None
    whole: Stack | None = None
    try:
        whole = geometry.stack(group)
        if whole.even:
            return [(group, whole)]
    except SeriesRefused as error:
        refusal = error
    for classes in _classes(group):
        split = _split(classes, found, overlapping=whole is not None)
        if split:
            return split
    if whole is None:
        raise refusal or AssertionError
    return [(group, whole)]


def _classes(group: Sequence[Header]) -> list[list[list[Header]]]:
    """Return the ways to tell acquisitions apart: by each attribute that differs, then all."""
    ways = []
    for keys in (*((at,) for at in range(len(APART))), tuple(range(len(APART)))):
        classes: dict[tuple[str, ...], list[Header]] = {}
        for header in group:
            classes.setdefault(tuple(header.apart[at] for at in keys), []).append(header)
        if len(classes) > 1:
            ways.append(list(classes.values()))
    return ways


def _split(
    classes: Sequence[list[Header]], found: Parts, *, overlapping: bool
) -> list[tuple[list[Header], Stack]]:
    """Return one stack per class when every class is one; none when it is not safe.

    overlapping : only where the classes lie within each other; side by side, they are one scan
    with distances that change.
    """
    stacks: list[tuple[list[Header], Stack]] = []
    aside: list[tuple[Header, SeriesRefused]] = []
    for one in classes:
        if _one_place(one):
            error = refusals.TooFewSlices("images of one place are no stack", slices=len(one))
            aside += [(header, error) for header in one]
            continue
        try:
            stack = geometry.stack(one)
        except SeriesRefused:
            return []
        if overlapping and not stack.even:
            return []
        stacks.append((one, stack))
    if not stacks or (overlapping and not _overlap(stacks)):
        return []
    found.aside += aside
    return stacks


def _one_place(headers: Sequence[Header]) -> bool:
    _, _, along = geometry.along_normal(headers, geometry.normal_of(headers[0]))
    return len(headers) > 1 and float(along.max()) < geometry.SAME_PLACE_MM


def _overlap(stacks: Sequence[tuple[list[Header], Stack]]) -> bool:
    """Tell whether stacks lie within each other by more than a slice's step."""
    normal = geometry.normal_of(stacks[0][0][0])
    ends = sorted(
        (float(along.min()), float(along.max()), max(stack.gaps_mm))
        for _, stack in stacks
        for along in [stack.positions @ normal]
    )
    return any(two[0] < one[1] - max(one[2], two[2]) for one, two in itertools.pairwise(ends))
