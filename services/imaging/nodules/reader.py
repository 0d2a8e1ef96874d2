"""The reader of lung nodules: a chest CT in, findings out."""

from __future__ import annotations

from collections.abc import Sequence

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.lungs import Lungs
from services.imaging.nodules import (
    assess,
    describe,
    find,
    fleischner,
    impression,
    lung_rads,
    outline,
    prior,
    score,
    size,
    texture,
    where,
)
from services.imaging.nodules.assess import Before, Character
from services.imaging.nodules.describe import Known
from services.imaging.nodules.find import Nodule
from services.imaging.nodules.follow import Spot
from services.imaging.nodules.impression import Impression, Limits
from services.imaging.reading import Ask, Context, Lesion, ModelMissing, Reading, statement
from services.imaging.series.refusals import GantryTilt, UnevenSliceSpacing
from services.imaging.series.volume import Volume

LOOKED_FOR = ("427359005",)
"""SNOMED CT: solitary nodule of lung."""

TILT_DEGREES_MAX = 1.0
"""A chest CT leans by nothing; over 300 mm this moves the last slice by 5 mm."""


class NoduleReader:
    """Finds nodules, measures and describes them, and says what the guidelines say of them."""

    function = pb.FUNCTION_NODULES
    name = "nodules"
    models = (score.MODEL, impression.MODEL)

    def read(self, source: Volume, context: Context, ask: Ask) -> Reading:
        """See `reading.Reader.read`. Without outlines or impressions it goes on, and says so.

        The option `outline` has a network draw the nodules again; off unless the routing table
        sets it, because no such network is in the repository yet.
        """
        _check_grid(source)
        stated = context.card(score.MODEL)["operating_point"]["probability"]
        operating_point = float(context.options.get("operating_point", stated))
        answer = pb.Answer(
            function=self.function, operating_point=operating_point, looked_for=LOOKED_FOR
        )
        proposal = find.propose(source)
        context.progress(0.4)
        found: list[Nodule] = []
        if proposal.candidates:
            outputs = ask(score.MODEL, {score.INPUT: proposal.crops})
            chances = score.probabilities(outputs[score.OUTPUT])
            found = find.accept(source, proposal, chances, operating_point)
        context.progress(0.7)
        lungs = proposal.lungs
        missing: list[str] = []
        if context.options.get("outline"):
            found = _outlined(source, lungs, found, ask, missing)
        seen, limits = _impressions(source, found, context, ask, missing)
        context.progress(0.9)
        known = _known(source, lungs, found, seen, limits, context)
        _conclude(answer, known, context, missing)
        lesions = [
            Lesion(describe.finding(source, one), one.nodule.region.mask, one.nodule.region.start)
            for one in known
        ]
        return Reading(answer, lesions)


def _check_grid(volume: Volume) -> None:
    """Refuse what is not a straight and even grid: shapes and volumes would be wrong."""
    if abs(volume.tilt_degrees) >= TILT_DEGREES_MAX:
        raise GantryTilt(
            "the slices lean against the way of the table",
            degrees=abs(volume.tilt_degrees),
            limit_degrees=TILT_DEGREES_MAX,
        )
    if not volume.even:
        raise UnevenSliceSpacing(
            "the slices are not equally far apart",
            smallest_mm=min(volume.gaps_mm, default=0.0),
            largest_mm=max(volume.gaps_mm, default=0.0),
        )


def _outlined(
    volume: Volume, lungs: Lungs, found: list[Nodule], ask: Ask, missing: list[str]
) -> list[Nodule]:
    """Return the nodules on the outline network's regions."""
    asked = [(one, outline.question(volume, one.region)) for one in found]
    questions = [question for _, question in asked if question]
    if not questions:
        return found
    try:
        answered = ask(outline.MODEL, {outline.INPUT: outline.ask_all(questions)})
    except ModelMissing:
        missing.append("outline")
        return found
    outlines, at = answered[outline.OUTPUT], 0
    better = []
    for nodule, question in asked:
        if question is None:
            better.append(nodule)
            continue
        part = outlines[at : at + len(question.places)]
        at += len(question.places)
        region = outline.refined(volume, nodule.region, question, part)
        better.append(find.with_region(volume, lungs, nodule, region))
    return better


def _impressions(
    volume: Volume, found: list[Nodule], context: Context, ask: Ask, missing: list[str]
) -> tuple[list[Impression | None], Limits | None]:
    """Return what the impression network says of each nodule, and the card's limits."""
    if not found:
        return [], None
    patches = impression.patches(volume, [one.region for one in found])
    try:
        limits = Limits.of(context.card(impression.MODEL))
        outputs = ask(impression.MODEL, {impression.INPUT: patches})
    except ModelMissing:
        missing.append("impression")
        return [None] * len(found), None
    return list(impression.impressions(outputs)), limits


def _known(
    volume: Volume,
    lungs: Lungs,
    found: Sequence[Nodule],
    seen: Sequence[Impression | None],
    limits: Limits | None,
    context: Context,
) -> list[Known]:
    """Return all that is known of each nodule, the earlier CT included."""
    characters = [
        _character(volume, nodule, one, limits) for nodule, one in zip(found, seen, strict=True)
    ]
    shares = [
        where.shares(volume, lungs, nodule.center_mm) if character.site else None
        for nodule, character in zip(found, characters, strict=True)
    ]
    before, compared = _before(volume, lungs, found, shares, context)
    return [
        Known(
            nodule=nodule,
            character=character,
            pleura_mm=where.pleura_mm(volume, lungs, nodule.region),
            shares=place,
            before=before.get(number),
            compared=compared and place is not None,
            count=len(found),
            age_years=context.age_years,
            sex=context.sex,
            limits=limits,
        )
        for number, (nodule, character, place) in enumerate(
            zip(found, characters, shares, strict=True)
        )
    ]


def _character(
    volume: Volume, nodule: Nodule, seen: Impression | None, limits: Limits | None
) -> Character:
    measures, region = nodule.measures, nodule.region
    consistency = measures.consistency
    spiculated, calcium = None, texture.calcium(volume, region)
    if seen and limits:
        spiculated = seen.ratings["spiculation"] >= limits.spiculated_from
        if seen.ratings["calcification"] >= limits.calcified_below:
            # Contrast, a rib in the region or a sharp kernel: both must see calcium, because
            # a benign pattern ends the follow-up.
            calcium = texture.Calcium("none", 0.0)
    return Character(
        consistency=consistency,
        long_mm=measures.long_axis_mm,
        short_mm=measures.short_axis_mm,
        volume_mm3=measures.volume_mm3,
        site=measures.zone,
        solid=texture.solid_part(volume, region),
        calcium=calcium,
        fat=consistency == "solid" and texture.fat(volume, region),
        impression=seen,
        spiculated=spiculated,
    )


def _before(
    volume: Volume,
    lungs: Lungs,
    found: Sequence[Nodule],
    shares: Sequence[tuple[float, float, float] | None],
    context: Context,
) -> tuple[dict[int, Before], bool]:
    """Return what nodules were on an earlier CT, and whether there is one to compare with."""
    if context.prior_days is None or context.prior_days <= 0:
        return {}, False
    followed = [number for number, place in enumerate(shares) if place is not None]
    spots = [
        Spot(
            shares[number] or (0.0, 0.0, 0.0),
            found[number].measures.volume_mm3,
            prior.left(found[number].measures.laterality),
        )
        for number in followed
    ]
    _, extent = where.box_mm(volume, lungs)
    lungs_mm = (float(extent[0]), float(extent[1]), float(extent[2]))
    pairs = prior.earlier(context.prior, context.prior_days, spots, lungs_mm)
    return {followed[number]: before for number, (before, _) in pairs.items()}, True


def _conclude(
    answer: pb.Answer, known: Sequence[Known], context: Context, missing: Sequence[str]
) -> None:
    """Put the categories, the advice and the limits of the CT as a whole into the answer."""
    categories = [one.category.category for one in known]
    if known:
        highest = lung_rads.highest(categories)
        answer.qualities.add(name="lung-rads", value=highest)
        answer.statements.append(statement("nodules-lung-rads", category=highest))
        characters = [one.character for one in known]
        advice = assess.advise(characters)
        excluded = fleischner.not_for(fleischner.Patient(age_years=context.age_years))
        if _grows(known):
            answer.statements.append(statement("nodules-grown-recommend"))
        elif excluded:
            answer.statements.append(statement(f"nodules-fleischner-not-{excluded}-limits"))
        elif advice:
            counted = assess.counted(characters)
            largest = max(counted, key=lambda one: one.mean_mm)
            answer.qualities.add(name="fleischner", value=advice.row)
            answer.statements.append(
                statement(
                    f"nodules-fleischner-{advice.row}-recommend",
                    count=str(len(counted)),
                    mean=str(size.whole(largest.mean_mm)),
                )
            )
            if any(one.before for one in known):
                answer.statements.append(statement("nodules-fleischner-first-limits"))
    answer.statements.append(statement("nodules-limits"))
    answer.statements.extend(statement(f"nodules-no-{name}-limits") for name in missing)


def _grows(known: Sequence[Known]) -> bool:
    """Tell whether a nodule grew, by volume or by diameter: guidelines for a first CT end there."""
    return any(
        (grown := assess.grown(one.character, one.before)) is not None and grown.course == "grown"
        for one in known
    ) or any(one.category.row.endswith(("growing", "slow", "appeared")) for one in known)
