"""Settings read from the environment, and errors that name what is wrong at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from services.kernel.errors import MeshError, as_outage, is_passing, reason_of
from services.kernel.settings import BadSettings, IdentitySettings, MeshSettings, describe, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(IdentitySettings):
    """Settings of a made-up service."""

    model_dir: Path
    """Where models lie."""

    gpu: bool = False
    """Whether there is one."""

    limit: int | None = None
    """Most at once."""


ENV = {"DX_NATS_URL": "nats://x:1", "DX_LABS_MODEL_DIR": "/m"}


@pytest.mark.requirement("DX-ARC-07")
def test_own_variable_goes_before_the_shared_one_and_defaults_fill_the_rest() -> None:
    found = load(
        Settings,
        "labs",
        {**ENV, "DX_DRAIN_S": "9", "DX_LABS_DRAIN_S": "7.5", "DX_GPU": "true", "DX_LIMIT": "3"},
    )
    assert (found.drain_s, found.gpu, found.limit) == (7.5, True, 3)
    assert found.model_dir == Path("/m")
    assert (found.ack_wait_s, found.nats_seed_file) == (30.0, None)


@pytest.mark.requirement("DX-ARC-07")
def test_every_missing_and_malformed_variable_is_named_at_once() -> None:
    env = {"DX_DRAIN_S": "soon", "DX_LABS_GPU": "maybe", "DX_LIMIT": "1.5"}
    with pytest.raises(BadSettings) as refused:
        load(Settings, "labs", env)
    for name in ("DX_NATS_URL", "DX_LABS_MODEL_DIR", "DRAIN_S", "DX_LABS_GPU", "LIMIT"):
        assert name in refused.value.message


def test_empty_variable_is_not_set_unless_text_is_wanted() -> None:
    assert load(Settings, "labs", {**ENV, "DX_DRAIN_S": "", "DX_NATS_URL": ""}).nats_url == ""
    assert load(Settings, "labs", {**ENV, "DX_LIMIT": ""}).limit is None
    with pytest.raises(BadSettings):
        load(Settings, "labs", {**ENV, "DX_LABS_MODEL_DIR": ""})


def test_settings_describe_each_field_once_under_its_variable() -> None:
    rows = {row.variable: row for row in describe(Settings, "labs")}
    assert rows["DX_LABS_MODEL_DIR"].default == "required"
    assert rows["DX_LABS_GPU"].text == "Whether there is one."
    assert "DX_NATS_URL" in rows
    assert "DX_BLOBS_IDENTITY_URL" in rows
    assert all(row.text for row in rows.values())
    assert len(rows) == len(Settings.__dataclass_fields__)
    assert len(describe(MeshSettings, "labs")) == len(MeshSettings.__dataclass_fields__)


class _CaseIsGone(MeshError):
    """Private by name."""


def test_reason_is_the_name_of_the_type() -> None:
    assert reason_of(_CaseIsGone) == "CASE_IS_GONE"
    assert MeshError("x", reason="MINE").reason == "MINE"
    assert MeshError("x", rows=3).facts == {"rows": "3"}


def test_error_of_a_library_that_is_away_passes_and_its_text_stays_out() -> None:
    outage = as_outage(ConnectionRefusedError("Zhang"))
    assert outage is not None
    assert is_passing(outage)
    assert "Zhang" not in outage.message
    assert as_outage(KeyError("x")) is None
    assert is_passing(KeyError("x"))
    assert not is_passing(MeshError("x"))
