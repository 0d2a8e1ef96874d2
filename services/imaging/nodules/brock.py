"""The Brock (PanCan) probability that a nodule is cancer: full model with spiculation.

Source: McWilliams A et al., Probability of cancer in pulmonary nodules detected on first
screening CT, N Engl J Med 2013;369:910, model 2b. Made from screening CTs of smokers of 50 to 75.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

SIZE_MM = (3.0, 30.0)
"""Mean diameters the model holds for."""

CONSTANT = -6.7892
AGE, AGE_CENTRE = 0.0287, 62.0
FEMALE, FAMILY, EMPHYSEMA = 0.6011, 0.2961, 0.2953
SIZE, SIZE_CENTRE = -5.3854, 1.58113883
UPPER, COUNT, COUNT_CENTRE, SPICULATION = 0.6581, -0.0824, 4.0, 0.7729


class Kind(Enum):
    """Consistency, with its coefficient."""

    SOLID = 0.0
    NON_SOLID = -0.1276
    PART_SOLID = 0.3770


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the model asks. None: not known."""

    age_years: float
    female: bool
    diameter_mm: float
    kind: Kind
    upper_lobe: bool
    count: int
    """Nodules on the CT, this one included."""

    spiculated: bool
    family_history: bool | None = None
    """Lung cancer in the family."""

    emphysema: bool | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Probabilities, 0 to 1."""

    probability: float
    """What is not known counts as absent."""

    highest: float
    """What is not known counts as present."""

    unknown: tuple[str, ...]


def estimate(inputs: Inputs) -> Estimate | None:
    """Return the probability; None outside 3 to 30 mm, where the model does not hold."""
    if not SIZE_MM[0] <= inputs.diameter_mm <= SIZE_MM[1]:
        return None
    unknown = tuple(
        name for name in ("family_history", "emphysema") if getattr(inputs, name) is None
    )
    low, high = (
        replace(
            inputs,
            family_history=value if inputs.family_history is None else inputs.family_history,
            emphysema=value if inputs.emphysema is None else inputs.emphysema,
        )
        for value in (False, True)
    )
    return Estimate(_probability(low), _probability(high), unknown)


def _probability(inputs: Inputs) -> float:
    x = (
        CONSTANT
        + AGE * (inputs.age_years - AGE_CENTRE)
        + FEMALE * inputs.female
        + FAMILY * bool(inputs.family_history)
        + EMPHYSEMA * bool(inputs.emphysema)
        + SIZE * ((inputs.diameter_mm / 10.0) ** -0.5 - SIZE_CENTRE)
        + inputs.kind.value
        + UPPER * inputs.upper_lobe
        + COUNT * (inputs.count - COUNT_CENTRE)
        + SPICULATION * inputs.spiculated
    )
    return 1.0 / (1.0 + math.exp(-x))
