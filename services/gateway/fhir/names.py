"""How a person's name is written where a resource states its parts alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_HAN = re.compile(r"[\u3400-\u9fff]")


def written(name: Mapping[str, Any]) -> str:
    """Return a HumanName as it is written: in Chinese the family name first, and no space."""
    if name.get("text"):
        return str(name["text"])
    given = [str(part) for part in name.get("given", [])]
    family = str(name.get("family", ""))
    if _HAN.search(family + "".join(given)):
        return "".join([family, *given])
    return " ".join(part for part in (*given, family) if part)
