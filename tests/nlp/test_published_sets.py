"""Figures on public sets that are not in this repository. Development figures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "notes"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="the development sets are not on this machine")
]


@pytest.fixture(scope="module")
def evaluate() -> ModuleType:
    path = ROOT / "training" / "nlp" / "evaluate.py"
    spec = importlib.util.spec_from_file_location("nlp_evaluate", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.requirement("DX-NLP-04")
def test_negation_on_negex_sentences(evaluate: ModuleType) -> None:
    figures = evaluate.negation(DATA / "negex_dev.tsv", errors=False)
    assert figures["items"] > 780
    assert figures["f1"] >= 0.985
    assert min(figures["f1_half_0"], figures["f1_half_1"]) >= 0.98


@pytest.mark.requirement("DX-NLP-02")
def test_headings_of_visit_notes(evaluate: ModuleType) -> None:
    figures = evaluate.headings(DATA / "aci_dev.csv", errors=False)
    assert figures["items"] > 500
    assert figures["named"] >= 0.98


@pytest.mark.requirement("DX-NLP-02")
def test_headers_of_dialogue_notes(evaluate: ModuleType) -> None:
    figures = evaluate.mts_headings(DATA / "mts_dev.csv", errors=False)
    assert figures["items"] > 3_000
    assert figures["right"] >= 0.98
    assert figures["inner_found"] >= 0.9
