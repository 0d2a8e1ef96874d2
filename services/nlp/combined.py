"""Medicines of one tablet: "amlodipine-benazepril 5/20 mg" tells a dose of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from services.nlp.doses import NUMBER, Dose
from services.nlp.found import Found
from services.nlp.terms import Kind

JOINTS = frozenset(("-", "/"))
PARTED = re.compile(rf"(?P<first>{NUMBER})[ ]?/[ ]?(?P<second>{NUMBER})(?P<unit>[ ]?[^0-9/ ]+)")


def doses(text: str, found: Sequence[Found], told: Sequence[Dose | None]) -> list[Dose | None]:
    """Return the doses of the mentions of a sentence, the one of two joined medicines for both.

    `told` has what stands right behind each. An amount in two parts is one of each; an amount
    in one part is that of the combination, and stands with both.
    """
    result = list(told)
    for number in range(len(found) - 1):
        first, second = found[number : number + 2]
        dose = told[number + 1]
        joined = first.kind is second.kind is Kind.MEDICATION
        if not joined or told[number] or dose is None:
            continue
        if text[first.end : second.start] in JOINTS:
            parts = PARTED.fullmatch(dose.amount)
            if parts is None:
                result[number] = dose
            else:
                result[number] = replace(dose, amount=parts["first"] + parts["unit"])
                result[number + 1] = replace(dose, amount=parts["second"] + parts["unit"])
    return result
