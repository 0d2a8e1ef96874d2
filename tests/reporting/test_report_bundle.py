"""The committed example Bundles are what this code composes, and valid FHIR R4."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import orjson
import pytest

from services.kernel import fhir
from services.kernel.ucum import readable
from services.reporting.compose import compose
from services.reporting.draft import Draft
from services.reporting.elements import quantity
from services.reporting.words import Language

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_example_is_current(draft: Callable[[Language], Draft], language: Language) -> None:
    bundle = compose(draft(language)).bundle
    path = DATA / f"report_bundle_{language}.json"
    if os.environ.get("DX_WRITE_EXAMPLES"):
        digits = partial(orjson.dumps, option=orjson.OPT_INDENT_2, default=_as_written)
        path.write_bytes(digits(bundle) + b"\n")
    assert fhir.dump(fhir.parse(path.read_bytes())) == fhir.dump(bundle)


@pytest.mark.requirement("DX-REP-01")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_resource_is_valid(draft: Callable[[Language], Draft], language: Language) -> None:
    bundle = fhir.parse(fhir.dump(compose(draft(language)).bundle))
    assert fhir.problems(bundle) == []


def _as_written(number: Decimal) -> orjson.Fragment:
    return orjson.Fragment(str(number))


def test_a_plain_number_is_shown_without_a_unit() -> None:
    assert quantity(Decimal("4.24"), "1") == {
        "value": Decimal("4.24"),
        "system": "http://unitsofmeasure.org",
        "code": "1",
    }
    assert readable("umol/L") == "µmol/L"
    assert readable("10*9/L") == "×10^9/L"
