"""The reader of lung nodules: a chest CT in, findings out."""

from __future__ import annotations

import numpy as np
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.nodules import find, score
from services.imaging.nodules.find import Nodule
from services.imaging.reading import Ask, Context, Lesion, Reading, measure, quality
from services.imaging.series.volume import Volume

LOOKED_FOR = ("427359005",)
"""SNOMED CT: solitary nodule of lung."""

CONSISTENCIES = {
    pb.CONSISTENCY_SOLID: "solid",
    pb.CONSISTENCY_PART_SOLID: "part-solid",
    pb.CONSISTENCY_GROUND_GLASS: "ground-glass",
}
SITES = {
    pb.LUNG_ZONE_UPPER: "upper-zone",
    pb.LUNG_ZONE_MIDDLE: "middle-zone",
    pb.LUNG_ZONE_LOWER: "lower-zone",
}


class NoduleReader:
    """Finds nodules, and measures them."""

    function = pb.FUNCTION_NODULES
    name = "nodules"
    models = (score.MODEL,)

    def read(self, source: Volume, context: Context, ask: Ask) -> Reading:
        """See `reading.Reader.read`."""
        stated = context.card(score.MODEL)["operating_point"]["probability"]
        operating_point = float(context.options.get("operating_point", stated))
        answer = pb.Answer(
            function=self.function, operating_point=operating_point, looked_for=LOOKED_FOR
        )
        proposal = find.propose(source)
        context.progress(0.5)
        if not proposal.candidates:
            return Reading(answer)
        outputs = ask(score.MODEL, {score.INPUT: proposal.crops})
        probabilities = score.probabilities(outputs[score.OUTPUT])
        found = find.accept(source, proposal, probabilities, operating_point)
        return Reading(answer, [Lesion(_finding(source, nodule)) for nodule in found])


def _finding(volume: Volume, nodule: Nodule) -> pb.Finding:
    measures = nodule.measures
    left, top, right, bottom = measures.box
    x, y, z = (float(value) for value in volume.to_patient(np.array(measures.center)))
    finding = pb.Finding(
        function=pb.FUNCTION_NODULES,
        kind="nodule",
        place=pb.Place(
            sop_instance_uid=volume.sop_uids[measures.slice_index],
            frame=volume.frame(measures.slice_index),
            box=pb.PixelBox(left=left, top=top, right=right, bottom=bottom),
            center=pb.PointMm(x=x, y=y, z=z),
            slice_index=measures.slice_index,
            first_slice_index=measures.first_slice,
            last_slice_index=measures.last_slice,
        ),
        laterality=measures.laterality,
        site=SITES.get(measures.zone, ""),
        probability=nodule.probability,
        measures=[
            measure("long-axis", measures.long_axis_mm, "mm"),
            measure("short-axis", measures.short_axis_mm, "mm"),
            measure("volume", measures.volume_mm3, "mm3"),
            measure("attenuation", measures.mean_hu, "[hnsf'U]"),
        ],
    )
    if consistency := CONSISTENCIES.get(measures.consistency):
        finding.qualities.append(quality("consistency", consistency))
    return finding
