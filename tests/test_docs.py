"""The documentation: settings generated from the code, and guides that name what exists."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from services.kernel.settings import MeshSettings, names
from services.kernel.subjects import SERVICES

ROOT = Path(__file__).resolve().parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
OUTSIDE = {"DX_TOKEN"}
"""Variables of the command line, which has no settings class."""


def settings_class(service: str) -> type[Any]:
    return importlib.import_module(f"services.{service}.settings").Settings


@pytest.fixture
def maker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docs/make_settings.py, writing to a folder of the test."""
    spec = importlib.util.spec_from_file_location("make_settings", ROOT / "docs/make_settings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGE", tmp_path / "settings.md")
    return module


@pytest.mark.requirement("DX-OPS-12")
def test_the_settings_page_is_current(maker: ModuleType) -> None:
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == maker.page(), (
        "run python docs/make_settings.py"
    )


@pytest.mark.requirement("DX-INT-13")
def test_the_page_of_capabilities_is_current() -> None:
    path = ROOT / "docs" / "make_capabilities.py"
    spec = importlib.util.spec_from_file_location("make_capabilities", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.PAGE.read_text("utf-8") == made.page(), "run python docs/make_capabilities.py"


@pytest.mark.requirement("DX-OPS-12")
def test_check_tells_a_stale_page_from_a_current_one(
    maker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker.main()
    monkeypatch.setattr(sys, "argv", ["make_settings.py", "--check"])
    maker.main()

    maker.PAGE.write_text(maker.PAGE.read_text("utf-8").replace("30.0", "31.0"), "utf-8")
    with pytest.raises(SystemExit, match="stale"):
        maker.main()
    assert "31.0" in maker.PAGE.read_text("utf-8"), "--check writes nothing"

    maker.PAGE.unlink()
    with pytest.raises(SystemExit, match="stale"):
        maker.main()


@pytest.mark.requirement("DX-OPS-12")
@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_of_a_service_is_on_the_page(service: str, maker: ModuleType) -> None:
    page = maker.page()

    for field in dataclasses.fields(settings_class(service)):
        assert any(f"| `{name}` |" in page for name in names(service, field.name)), field.name


@pytest.mark.requirement("DX-OPS-12")
def test_a_setting_without_words_stops_the_page(maker: ModuleType) -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Silent(MeshSettings):
        """Settings of a service."""

        told: int = 1
        """It is told."""

        untold: int = 2

    with pytest.raises(maker.Undocumented, match="untold"):
        maker.rows_of(Silent, "labs")


@pytest.mark.requirement("DX-OPS-12")
def test_a_service_without_settings_stops_the_page(
    maker: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maker, "SERVICES", (*SERVICES, "pharmacy"))

    with pytest.raises(ModuleNotFoundError, match="pharmacy"):
        maker.page()


@pytest.mark.requirement("DX-OPS-12")
def test_no_row_of_the_page_breaks_its_table(maker: ModuleType) -> None:
    rows = [line for line in maker.page().splitlines() if line.startswith("|")]

    assert len(rows) > len(SERVICES)
    assert [row for row in rows if len(re.findall(r"(?<!\\)\|", row)) != 5] == []


@pytest.mark.requirement("DX-OPS-12")
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_guides_name_variables_that_exist(guide: Path) -> None:
    known = OUTSIDE | {
        name
        for service in SERVICES
        for field in dataclasses.fields(settings_class(service))
        for name in names(service, field.name)
    }

    named = set(re.findall(r"\bDX_[A-Z0-9_]*[A-Z0-9]\b", guide.read_text("utf-8")))

    assert named - known == set()
