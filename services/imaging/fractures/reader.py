"""Reads one radiograph for fractures: prepared, looked at, judged, described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.fractures import characterise, detect, prepare, quality, sites
from services.imaging.fractures.detect import Seen
from services.imaging.reading import Ask, Context, Reading, statement
from services.imaging.reading import quality as property_of
from services.imaging.series.radiograph import Radiograph

FRACTURE_OF_BONE = "125605004"
"""SNOMED CT."""

BOXES_MAX = 8


@dataclass(frozen=True, slots=True)
class Points:
    """Thresholds in use."""

    image: float
    box: float


class FractureReader:
    """The reading named "fractures"."""

    function = pb.FUNCTION_FRACTURES
    name = "fractures"
    models = (detect.MODEL,)

    def read(self, source: Radiograph, context: Context, ask: Ask) -> Reading:
        """Return what the network sees on one radiograph, in the report's terms.

        Raises
        ------
        NotALimbXray, ChildXray, PoorRadiograph
            The image is not this reading's to read.
        """
        age_min = float(context.options.get("age_min_years", quality.AGE_MIN_YEARS))
        quality.before(source, context.age_years, age_min)
        card = context.card(detect.MODEL)
        points = operating_points(card, context.options)
        seen = detect.look(prepare.prepare(source), ask)
        quality.after(source, seen)
        most = int(context.options.get("boxes_max", BOXES_MAX))
        lesions = characterise.lesions(source, seen, points.box, most)
        answer = pb.Answer(
            function=self.function,
            probability=seen.probability,
            operating_point=points.image,  # that of `probability`; boxes are chosen already
            qualities=_qualities(source, seen),
            statements=_statements(source, seen, len(lesions), points, context, card),
            looked_for=[FRACTURE_OF_BONE],
        )
        return Reading(answer=answer, lesions=lesions)


def operating_points(card: Mapping[str, Any], options: Mapping[str, Any]) -> Points:
    """Return the routing rule's thresholds, or the card's where the rule states none."""
    chosen = card["operating_point"]
    return Points(
        float(options.get("operating_point", chosen["probability"])),
        float(options.get("box_operating_point", chosen["box_probability"])),
    )


def _qualities(radiograph: Radiograph, seen: Seen) -> list[pb.Quality]:
    """Return what the image shows; its part of the body only where the header states none.

    The header's is the site of the finding, and `fractures-part-differs` says when the network
    sees another: two names of a part side by side would leave the reader to choose.
    """
    parts = {} if sites.stated(radiograph.body_part) else characterise.parts(seen)
    shown = [property_of("body-part", part, chance) for part, chance in parts.items()]
    return shown + characterise.hardware(seen)


def _statements(
    radiograph: Radiograph,
    seen: Seen,
    marked: int,
    points: Points,
    context: Context,
    card: Mapping[str, Any],
) -> list[pb.Statement]:
    """Return the sentences: what was found, what the number means, what limits it."""
    chance, limit = percent(seen.probability), percent(points.image)
    suspected = seen.probability >= points.image
    if marked:
        key = "fractures-marked" if suspected else "fractures-marked-unlikely"
    else:
        key = "fractures-unplaced" if suspected else "fractures-none"
    said = [statement(key, count=str(marked), probability=chance, threshold=limit)]
    said.append(_meaning(seen, card))
    if seen.hardware >= characterise.HARDWARE_MIN:
        said.append(statement("fractures-hardware", probability=percent(seen.hardware)))
    shown = characterise.shown(radiograph, seen)
    if shown.contradicted:
        said.append(statement("fractures-part-differs", stated=shown.site, seen=shown.contradicted))
    elif not shown.from_header:
        said.append(
            statement(
                "fractures-part-from-image",
                probability=percent(shown.probability),
            )
        )
    if context.age_years is None:
        said.append(statement("fractures-age-unknown"))
    if marked or suspected:
        said.append(statement("fractures-recommend"))
    return said


def _meaning(seen: Seen, card: Mapping[str, Any]) -> pb.Statement:
    """Return the probability as a frequency, with the share that was fractured where measured."""
    part = card["split"]["validation"]
    share = 100 * part["fractured"] / part["images"]
    return statement("fractures-meaning", of_100=percent(seen.probability), share=f"{share:.0f}")


def percent(probability: float) -> str:
    """Return a probability in whole percent, never 0 nor 100: no such certainty was measured."""
    return f"{min(max(round(probability * 100), 1), 99)}"
