"""Whether a reader takes a series: the first rule that fits, and what it asks of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.imaging.routing.known import Known, known
from services.imaging.routing.quality import CHECKS
from services.imaging.routing.rules import Condition, Rule, RuleBook
from services.imaging.series.facts import Facts
from services.imaging.series.refusals import SeriesRefused
from services.imaging.series.sources import Source

REASONS = {
    "source": "ANOTHER_KIND_OF_IMAGE",
    "modality": "ANOTHER_MODALITY",
    "body_part": "ANOTHER_BODY_PART",
    "orientation": "ANOTHER_ORIENTATION",
    "view": "ANOTHER_VIEW",
    "age_years": "AGE_OUT_OF_RANGE",
    "slices": "TOO_FEW_SLICES",
    "extent_mm": "STACK_TOO_SHORT",
    "spacing_mm": "SLICES_TOO_FAR_APART",
    "thickness_mm": "SLICES_TOO_THICK",
    "pixel_mm": "PIXELS_OUT_OF_RANGE",
    "rows": "PICTURE_TOO_SMALL",
    "columns": "PICTURE_TOO_SMALL",
    "even": "UNEVEN_SLICE_SPACING",
    "tilt_degrees": "GANTRY_TILT",
    "lean_degrees": "NOT_AXIAL",
    "kernel": "UNSUITABLE_KERNEL",
    "contrast": "CONTRAST_GIVEN",
    "phase": "ANOTHER_CONTRAST_PHASE",
    "clipped_share": "BADLY_EXPOSED",
    "image_type": "DERIVED_IMAGES",
}
"""Reason of a "no" by the fact that made it, where the rule names none."""

SHOWN_BY = {"even": ("smallest_gap_mm", "largest_gap_mm")}
"""The numbers behind a yes or no, which say more than it does."""

SIGNED = frozenset(("tilt_degrees", "lean_degrees"))
"""Angles whose size alone counts."""


class NotTaken(SeriesRefused):
    """A rule says no; reason and facts are the rule's."""

    def __init__(self, message: str, reason: str, **facts: object) -> None:
        super().__init__(message, **facts)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether one reader takes one source, by which rule, and why not."""

    reader: str
    rule: Rule | None
    refusal: SeriesRefused | None = None
    near: int = 0
    """How much of the rule held: the "no" of the nearest reader explains a series best."""

    @property
    def read(self) -> bool:
        """Whether the reader takes it."""
        return self.refusal is None


def decide(facts: Facts, source: Source, rules: RuleBook, readers: Sequence[str]) -> list[Choice]:
    """Return each reader's choice, in the order of `readers`.

    The pixels are looked at only where the header does not say no already.
    """
    said = known(facts, source)
    return [_choice(name, said, source, rules.of(name)) for name in readers]


def nearest(choices: Sequence[Choice]) -> SeriesRefused | None:
    """Return why a source is not read at all: the "no" that came last; None when it is read."""
    if not choices or any(choice.read for choice in choices):
        return None
    return max(choices, key=lambda choice: choice.near).refusal


def _choice(
    reader: str, said: Mapping[str, Known], source: Source, rules: Sequence[Rule]
) -> Choice:
    """Return the choice of the first rule that fits, else of the one that came nearest."""
    noes = [Choice(reader, None, NotTaken("no rule names this reading", "NO_RULE"), -1)]
    for rule in rules:
        if not rule.enabled:
            off = NotTaken("this reading is switched off here", "SWITCHED_OFF")
            noes.append(Choice(reader, rule, off))
            continue
        failed = [one for one in rule.takes if not one.holds(_asked(one.fact, said))]
        if not failed:
            return _needs(reader, said, source, rule)
        held = len(rule.takes) - len(failed)
        noes.append(Choice(reader, rule, _refused(failed[0], said), held))
    return max(noes, key=lambda choice: choice.near)


def _needs(reader: str, said: Mapping[str, Known], source: Source, rule: Rule) -> Choice:
    near = 100
    for condition in rule.needs:
        if not condition.holds(_asked(condition.fact, said)):
            return Choice(reader, rule, _refused(condition, said), near)
        near += 1
    for name, limits in rule.quality.items():
        try:
            CHECKS[name].look(source, limits)
        except SeriesRefused as refusal:
            return Choice(reader, rule, refusal, near)
        near += 1
    return Choice(reader, rule, near=near)


def _asked(fact: str, said: Mapping[str, Known]) -> Known:
    value = said.get(fact)
    return abs(value) if fact in SIGNED and isinstance(value, float) else value


def _refused(condition: Condition, said: Mapping[str, Known]) -> NotTaken:
    fact = condition.fact
    value = said.get(fact)
    shown = ", ".join(value) if isinstance(value, tuple) else value
    words = fact.removesuffix("_mm").replace("_", " ")
    behind = {name: said[name] for name in SHOWN_BY.get(fact, ()) if said.get(name) is not None}
    return NotTaken(
        condition.message or f"the {words} of the series is not what this reading takes",
        condition.reason or REASONS.get(fact, f"{fact.upper()}_OUT_OF_RANGE"),
        **behind or {fact: "not stated" if shown is None else shown, **condition.wanted()},
    )
