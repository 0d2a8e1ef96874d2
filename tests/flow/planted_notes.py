"""Notes in Chinese and English as people write them, full of facts that identify.

In `data/note_*.txt` each fact stands in braces with what it is: {name:沈墨言}. What is
medicine stays outside of the braces and must survive. Whole dates lie further apart than any
date shift, so that a shifted one is not another of them.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.flow.planting import Plants

_FACT = re.compile(r"\{(\w+):([^{}]+)\}")
DATA = Path(__file__).parent / "data"
MEDICINE = {
    "zh": ("咳嗽", "高血压", "青霉素", "氨氯地平", "左肺下叶结节", "白内障"),
    "en": ("cough", "Hypertension", "Penicillin", "Amlodipine", "nodule", "Cataract"),
}
"""What must still be there afterwards."""


def note(language: str, plants: Plants) -> str:
    """Return a note as it is sent; every fact in it is remembered."""
    text = (DATA / f"note_{language}.txt").read_text("utf-8")
    return _FACT.sub(lambda found: plants.fact(f"note {language}: {found[1]}", found[2]), text)
