"""What was decided about each series, for people: which reading, which rule, why not."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.routing.decide import Choice
from services.kernel.errors import MeshError

READING_FAILED = Refusal(
    reason="READING_FAILED", message="The reading failed on these images; the others went on."
)


def default_table() -> str:
    """Return the text of `default.toml`."""
    return resources.files("services.imaging.routing").joinpath("default.toml").read_text("utf-8")


def refusal(error: MeshError) -> Refusal:
    """Return why something was not read, as events carry it."""
    return Refusal(reason=error.reason, message=error.message, facts=error.facts)


def decision(
    choice: Choice, function: pb.Function.ValueType, series_uid: str, why: Refusal | None = None
) -> pb.Decision:
    """Return a choice as findings carry it; `why` is what the reader itself said afterwards."""
    made = pb.Decision(
        function=function,
        series_instance_uid=series_uid,
        rule=choice.rule.name if choice.rule else "",
        read=choice.read and why is None,
    )
    if why is not None:
        made.refusal.CopyFrom(why)
    elif choice.refusal is not None:
        made.refusal.CopyFrom(refusal(choice.refusal))
    return made


def merged(decisions: Sequence[pb.Decision]) -> list[pb.Decision]:
    """Return one decision for each series and function: an archive may hold several sources.

    It was read when any source was; else the "no" of the first tells why.
    """
    kept: dict[tuple[str, int], pb.Decision] = {}
    for one in decisions:
        key = (one.series_instance_uid, one.function)
        if key not in kept or (one.read and not kept[key].read):
            kept[key] = one
    return list(kept.values())
