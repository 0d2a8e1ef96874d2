"""From a volume to nodules: what the search proposes, and what the scores leave of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.imaging import lungs as lung_mask
from services.imaging.lungs import Lungs
from services.imaging.nodules import characterise, detect, prepare, score, segment
from services.imaging.nodules.characterise import Measures
from services.imaging.nodules.detect import Candidate
from services.imaging.nodules.score import Crops, Probabilities
from services.imaging.nodules.segment import Region
from services.imaging.series.volume import Volume

LONG_AXIS_MM = (3.0, 80.0)
"""Smaller is no nodule by definition (Fleischner 2008), larger is no nodule any more."""

THICKEST_SHARE_MIN = 0.18
"""A ball inside a nodule has at least this share of its length as radius; vessels have not."""

NODULES_MAX = 10
"""Most nodules a part reports; the most probable are kept."""

SAME_MM = 5.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the search proposes in one volume, and the model's input for it."""

    lungs: Lungs
    candidates: list[Candidate]
    crops: Crops


@dataclass(frozen=True, slots=True)
class Nodule:
    """One nodule above the operating point."""

    probability: float
    measures: Measures
    center_mm: tuple[float, float, float]
    """LPS."""

    region: Region


def propose(volume: Volume) -> Proposal:
    """Return the candidates of a chest CT.

    Raises
    ------
    NotAChestCt
    """
    lungs = lung_mask.find(volume)
    prepare.check_chest(volume, lungs)
    candidates = detect.detect(prepare.block(volume, lungs))
    return Proposal(lungs, candidates, score.crops(volume, candidates))


def accept(
    volume: Volume, proposal: Proposal, probabilities: Probabilities, operating_point: float
) -> list[Nodule]:
    """Return nodules at or above the operating point, the most probable first."""
    found: list[Nodule] = []
    regions: list[Region] = []
    for number in np.argsort(-probabilities, kind="stable"):
        probability = float(probabilities[number])
        if probability < operating_point or len(found) == NODULES_MAX:
            break
        candidate = proposal.candidates[int(number)]
        if any(region.contains(candidate.index) for region in regions):
            continue
        region = segment.segment(volume, proposal.lungs, candidate)
        if region is None:
            continue
        measures = characterise.measure(volume, proposal.lungs, region)
        if not _is_nodule(volume, measures, region) or _is_known(volume, measures, found):
            continue
        found.append(_nodule(volume, probability, measures, region))
        regions.append(region)
    return found


def with_region(volume: Volume, lungs: Lungs, nodule: Nodule, region: Region) -> Nodule:
    """Return the nodule measured on another region, unless that has no nodule's shape."""
    if region is nodule.region:
        return nodule
    measures = characterise.measure(volume, lungs, region)
    if not _is_nodule(volume, measures, region):
        return nodule
    return _nodule(volume, nodule.probability, measures, region)


def _nodule(volume: Volume, probability: float, measures: Measures, region: Region) -> Nodule:
    x, y, z = (float(mm) for mm in volume.to_patient(np.array(measures.center)))
    return Nodule(probability, measures, (x, y, z), region)


def _is_nodule(volume: Volume, measures: Measures, region: Region) -> bool:
    """Tell whether size and shape are a nodule's, not a vessel's or the chest wall's."""
    low, high = LONG_AXIS_MM
    upright = (measures.last_slice - measures.first_slice) * volume.spacing_mm[0]
    length = max(measures.long_axis_mm, upright)
    thick_enough = region.thickest_mm >= THICKEST_SHARE_MIN * length
    return low <= measures.long_axis_mm and length <= high and thick_enough


def _is_known(volume: Volume, measures: Measures, found: Sequence[Nodule]) -> bool:
    place = np.array(measures.center) * volume.spacing_mm
    return any(
        float(np.linalg.norm(place - np.array(nodule.measures.center) * volume.spacing_mm))
        < max(SAME_MM, nodule.measures.long_axis_mm / 2)
        for nodule in found
    )
