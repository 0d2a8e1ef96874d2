"""What an earlier CT of the same pseudonym says of today's nodules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.nodules.assess import Before
from services.imaging.nodules.follow import Spot, pair

POSITION = "nodule-position"
"""Statement that carries a nodule's place in the lungs, in % of their box, from study to study."""

AXES = ("across", "back", "up")


def position(shares: tuple[float, float, float]) -> dict[str, str]:
    """Return the facts of the statement."""
    return {name: f"{100 * share:.1f}" for name, share in zip(AXES, shares, strict=True)}


def spot(finding: pb.Finding) -> Spot | None:
    """Return a finding as it is followed; None where its place was not stated."""
    for statement in finding.statements:
        if statement.key != POSITION:
            continue
        try:
            across, back, up = (float(statement.facts[name]) / 100 for name in AXES)
        except ValueError:
            return None
        volume = measured(finding).get("volume", 0.0)
        return Spot((across, back, up), volume, left(finding.laterality))
    return None


def earlier(
    prior: Sequence[pb.Finding],
    days: float,
    now: Sequence[Spot],
    lungs_mm: tuple[float, float, float],
) -> dict[int, tuple[Before, pb.Finding]]:
    """Return for today's nodules (index) what they were before."""
    known = [(found, finding) for finding in prior if (found := spot(finding))]
    pairs = pair([found for found, _ in known], now, lungs_mm)
    return {number: (_before(known[old][1], days), known[old][1]) for number, old in pairs.items()}


def measured(finding: pb.Finding) -> Mapping[str, float]:
    """Return a finding's measures by name."""
    return {one.name: one.value for one in finding.measures}


def _before(finding: pb.Finding, days: float) -> Before:
    measures = measured(finding)
    said = {one.name: one.value for one in finding.qualities}
    mean = (measures.get("long-axis", 0.0) + measures.get("short-axis", 0.0)) / 2
    return Before(
        days=days,
        mean_mm=measures.get("mean-diameter", mean),
        volume_mm3=measures.get("volume", 0.0),
        solid_mm=measures.get("solid-diameter", 0.0),
        consistency=said.get("consistency", ""),
        category=said.get("lung-rads"),
    )


def left(laterality: pb.Laterality.ValueType) -> bool | None:
    """Tell whether a side is the left; None: not determined."""
    if laterality == pb.LATERALITY_LEFT:
        return True
    return False if laterality == pb.LATERALITY_RIGHT else None
