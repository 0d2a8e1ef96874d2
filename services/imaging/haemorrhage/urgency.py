"""How urgent a head CT is, and the facts that make it so.

A midline shift over 5 mm is stat by itself: whatever pushes (blood as dark as brain, infarct,
tumour) may need a surgeon within the hour, and blood that a network misses pushes too.

Source: ICH score (intraparenchymal volume of 30 ml or more), surgical guidelines for acute
subdural haematoma (thicker than 10 mm or midline shift over 5 mm), Marshall classification
(shift over 5 mm), expansion (over 33% or over 6 ml). Thickness and shift are judged as they are
written, to 0.1 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.haemorrhage.characterise import EXTRA_AXIAL, Measures
from services.imaging.haemorrhage.midline import Shift
from services.imaging.reading import statement

LARGE_ML = 30.0
THICK_MM = 10.0
SHIFT_MM = 5.0
GROWTH_SHARE, GROWTH_ML = 0.33, 6.0

STAT, ROUTINE = "stat", "routine"


@dataclass(frozen=True, slots=True)
class Urgency:
    """The code, and a sentence for each criterion that is met."""

    code: str
    statements: tuple[pb.Statement, ...]


def judge(
    present: bool,
    found: Sequence[Measures],
    shift: Shift | None,
    prior: Sequence[pb.Finding] = (),
    prior_days: float | None = None,
) -> Urgency:
    """Return the urgency: any haemorrhage is stat, and a shifted midline without one.

    The criteria say what makes a haemorrhage grave.

    found : haemorrhages with a volume; those whose outline is the network's alone have none
    """
    shift_mm = round(abs(shift.mm), 1) if shift is not None else 0.0
    if not present:
        if shift_mm > SHIFT_MM:
            alone = ("haemorrhage-shift-alert", "haemorrhage-none-but-shift", "haemorrhage-stat")
            return Urgency(STAT, tuple(statement(key, shift=f"{shift_mm:.1f}") for key in alone))
        return Urgency(ROUTINE, ())
    said = []
    largest = max((each.volume_ml for each in found), default=0.0)
    if largest >= LARGE_ML:
        said.append(statement("haemorrhage-large", volume=f"{largest:.1f}"))
    depths = (one.thickness_mm for one in found if one.type_name in EXTRA_AXIAL)
    thick = round(max(depths, default=0.0), 1)
    if thick > THICK_MM:
        said.append(statement("haemorrhage-thick", thickness=f"{thick:.1f}"))
    if shift_mm > SHIFT_MM:
        said.append(statement("haemorrhage-shift", shift=f"{shift_mm:.1f}"))
    grown = growth(found, prior)
    if grown is not None and prior_days is not None:
        before, now = grown
        if now - before > GROWTH_ML or now > before * (1 + GROWTH_SHARE):
            said.append(
                statement(
                    "haemorrhage-grown",
                    before=f"{before:.1f}",
                    now=f"{now:.1f}",
                    days=f"{prior_days:.1f}",
                )
            )
    return Urgency(STAT, tuple(said))


def growth(found: Sequence[Measures], prior: Sequence[pb.Finding]) -> tuple[float, float] | None:
    """Return all haemorrhage before and now, ml; none without a prior haemorrhage with a volume."""
    before = [
        measure.value
        for finding in prior
        if finding.function == pb.FUNCTION_HAEMORRHAGE
        for measure in finding.measures
        if measure.name == "volume" and measure.unit == "mL"
    ]
    if not before or not found:
        return None
    return sum(before), sum(each.volume_ml for each in found)
