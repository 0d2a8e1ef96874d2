"""The composed Bundle passes a validator that is not ours: `@medplum/core`, through node."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.reporting.compose import compose
from services.reporting.draft import Draft
from services.reporting.words import Language
from tests.servers.medplum import Validator
from tests.servers.medplum import validator as make


@pytest.fixture(scope="module")
def validator(request: pytest.FixtureRequest) -> Validator:
    """The validator; its packages are kept in pytest's cache."""
    return make(request.config.cache.mkdir("medplum"))


@pytest.mark.requirement("DX-REP-01")
@pytest.mark.parametrize("language", ["zh", "en"])
def test_medplum_finds_nothing_wrong(
    validator: Validator,
    draft: Callable[[Language], Draft],
    language: Language,
) -> None:
    assert validator(compose(draft(language)).bundle) == []


def test_medplum_finds_an_illegal_reference_target(
    validator: Validator,
    draft: Callable[[Language], Draft],
) -> None:
    bundle = compose(draft("en")).bundle
    observation = bundle["entry"][1]["resource"]
    observation["performer"] = [observation["device"]]  # R4 allows no Device here
    [issue] = validator(bundle)
    assert issue["expression"] == ["Bundle.entry[1].resource.performer[0]"]
