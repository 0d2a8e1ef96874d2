"""What is said of each marked place: site, side, size, and what stands in the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.fractures import sites
from services.imaging.fractures.detect import Seen
from services.imaging.reading import Lesion, measure, quality
from services.imaging.series.radiograph import Radiograph

KIND = "fracture"
SHARED_MIN = 0.3
"""From here a body part counts as shown, by the network."""

HARDWARE_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """What part of the body an image shows, and who says so."""

    site: str
    part: str
    from_header: bool
    probability: float
    """Of `part`, by the network."""

    contradicted: str = ""
    """The part the network sees in place of the header's, or ""."""


def shown(radiograph: Radiograph, seen: Seen) -> Shown:
    """Return the site: the header's where it states one, else the network's coarse one."""
    likeliest = max(seen.parts, key=lambda part: seen.parts[part])
    stated = sites.stated(radiograph.body_part)
    if stated is None:
        return Shown(sites.BY_PART[likeliest], likeliest, False, seen.parts[likeliest])
    against = ""
    if seen.parts[stated.part] < SHARED_MIN and seen.parts[likeliest] > 1 - SHARED_MIN:
        against = likeliest
    return Shown(stated.name, stated.part, True, seen.parts[stated.part], against)


def side(radiograph: Radiograph) -> pb.Laterality.ValueType:
    """Return the side the header states. It is not read off the picture."""
    return {
        "L": pb.LATERALITY_LEFT,
        "R": pb.LATERALITY_RIGHT,
    }.get(radiograph.laterality, pb.LATERALITY_UNSPECIFIED)


def lesions(radiograph: Radiograph, seen: Seen, box_point: float, most: int) -> list[Lesion]:
    """Return the places at or above the operating point, most probable first."""
    place = shown(radiograph, seen)
    found: list[Lesion] = []
    for box, score in zip(seen.boxes, seen.scores, strict=True):
        if score < box_point or len(found) == most:
            continue
        finding = pb.Finding(
            function=pb.FUNCTION_FRACTURES,
            kind=KIND,
            place=pb.Place(
                sop_instance_uid=radiograph.sop_uid,
                frame=radiograph.frame,
                box=_box(box.tolist(), radiograph.shape),
            ),
            laterality=side(radiograph),
            site=place.site,
            probability=float(score),
            measures=_measures(box.tolist(), radiograph.pixel_mm),
            qualities=hardware(seen),
        )
        found.append(Lesion(finding))
    return found


def hardware(seen: Seen) -> list[pb.Quality]:
    """Return that metal is on the image, where it probably is."""
    if seen.hardware < HARDWARE_MIN:
        return []
    return [quality("hardware", "present", seen.hardware)]


def parts(seen: Seen) -> Mapping[str, float]:
    """Return the body parts the network sees, likeliest first."""
    seen_parts = {part: chance for part, chance in seen.parts.items() if chance >= 0.5}
    return dict(sorted(seen_parts.items(), key=lambda item: -item[1]))


def _box(box: list[float], shape: tuple[int, int]) -> pb.PixelBox:
    """Return whole pixels that cover the box, inside the image."""
    left, top = max(int(box[0]), 0), max(int(box[1]), 0)
    right = min(max(int(-(-box[2] // 1)), left + 1), shape[1])
    bottom = min(max(int(-(-box[3] // 1)), top + 1), shape[0])
    return pb.PixelBox(left=left, top=top, right=right, bottom=bottom)


def _measures(box: list[float], pixel_mm: tuple[float, float] | None) -> list[pb.Measure]:
    """Return width and height of the marked area in mm, where a pixel's size is known."""
    if pixel_mm is None:
        return []
    return [
        measure("marked-width", (box[2] - box[0]) * pixel_mm[1], "mm"),
        measure("marked-height", (box[3] - box[1]) * pixel_mm[0], "mm"),
    ]
