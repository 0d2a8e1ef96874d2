"""The scores: `data/scores/<topic>.toml` joined with the formulas of this package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType, ModuleType
from typing import Any

from services.labs import analytes, units
from services.labs.reasons import WrongDimension
from services.labs.scores import (
    abdomen,
    blood,
    electrolytes,
    heart,
    kidney,
    liver,
    lung,
    meanings,
    metabolism,
    sepsis,
    variation,
)
from services.labs.scores.inputs import QUALITIES
from services.labs.scores.model import Band, Condition, Definition, Kind, Quality, Wanted

TOPICS: Mapping[str, ModuleType] = MappingProxyType(
    {
        "kidney": kidney,
        "liver": liver,
        "heart": heart,
        "lung": lung,
        "sepsis": sepsis,
        "blood": blood,
        "metabolism": metabolism,
        "electrolytes": electrolytes,
        "abdomen": abdomen,
        "variation": variation,
    }
)
"""In the order in which scores are listed."""

ADULT = (18.0, 131.0)
_CONDITION = re.compile(r"([a-z0-9-]+) (<|<=|>|>=) (-?[0-9.]+)")


def _load() -> dict[str, Definition]:
    folder = files("services.labs").joinpath("data", "scores")
    made: dict[str, Definition] = {}
    for topic, module in TOPICS.items():
        document = tomllib.loads(folder.joinpath(f"{topic}.toml").read_text("utf-8"))
        for entry in document["score"]:
            if entry["id"] in made:
                raise ValueError(f"two scores are called {entry['id']}")
            made[entry["id"]] = _definition(topic, module, entry)
    return made


def _definition(topic: str, module: ModuleType, entry: Mapping[str, Any]) -> Definition:
    known = {"id", "formula", "en", "zh", "inputs", "optional", "one_of", "units", "unit", "scale"}
    known |= {"digits", "fresh_h", "ages", "in_pregnancy", "bands", "meaning", "listed", "loinc"}
    known |= {"source", "link", "note_en", "note_zh", "limits", "opened", "applies"}
    if unknown := entry.keys() - known:
        raise ValueError(f"{entry['id']}: unknown keys {sorted(unknown)}")
    ages = entry.get("ages", ADULT)
    wanted = tuple(_wanted(name, entry) for name in entry["inputs"])
    needed = [each.quality for each in wanted if not each.optional]
    return Definition(
        entry["id"],
        topic,
        entry["en"],
        entry["zh"],
        getattr(module, entry["formula"]),
        wanted,
        frozenset(entry.get("one_of", ())),
        entry.get("unit", "1"),
        entry.get("scale", 1.0),
        entry.get("digits", 0),
        entry["fresh_h"],
        (float(ages[0]), float(ages[1])) if ages else None,
        entry.get("in_pregnancy", False),
        tuple(map(_band, entry.get("bands", ()))),
        getattr(meanings, entry["meaning"]) if "meaning" in entry else None,
        _listed(entry),
        getattr(meanings, entry["applies"]) if "applies" in entry else None,
        entry.get("loinc", ""),
        entry["source"],
        entry["link"],
        entry.get("note_en", ""),
        entry.get("note_zh", ""),
        entry.get("opened", ""),
        frozenset(q.name for q in needed if q.kind.of_laboratory),
        frozenset(q.name for q in needed if not q.kind.of_laboratory and q.kind is not Kind.PERSON),
    )


def _wanted(name: str, entry: Mapping[str, Any]) -> Wanted:
    quality = QUALITIES[name]
    factor, unit = 1.0, quality.unit.ucum if quality.unit else ""
    if other := entry.get("units", {}).get(name):
        factor, unit = converted(quality, units.read(other)), other
    low, high = entry.get("limits", {}).get(name, (quality.low * factor, quality.high * factor))
    optional = name in entry.get("optional", ()) or name in entry.get("one_of", ())
    return Wanted(quality, factor, unit, low, high, optional)


def converted(quality: Quality, unit: units.Unit) -> float:
    """Return by what to multiply a value in the quality's unit to have it in `unit`.

    Raises
    ------
    WrongDimension, NoConversion
        The unit measures something else, or no conversion is defined.
    """
    own = quality.unit
    if own is None:
        raise ValueError(f"{quality.name} has no unit")
    if quality.kind in (Kind.LAB, Kind.NUMBER) and quality.sources:
        analyte = analytes.ANALYTES[quality.sources[0]]
        factors = [analytes.to_canonical(each, analyte) for each in (own, unit)]
        return float(factors[0] / factors[1])
    if own.property != unit.property:
        raise WrongDimension("the unit does not measure this input")
    return float(own.factor_to(unit))


def _band(row: Sequence[str]) -> Band:
    limit = row[0]
    return Band(float(limit.lstrip(">") or "-inf"), limit.startswith(">"), row[1], row[2])


def _listed(entry: Mapping[str, Any]) -> tuple[Condition, ...] | None:
    stated = entry.get("listed", [])
    if stated == "asked":
        return None
    made = []
    for each in stated:
        found = _CONDITION.fullmatch(each)
        if found is None or found[1] not in {"value", *entry["inputs"]}:
            raise ValueError(f"{entry['id']}: {each} is not a condition")
        made.append(Condition(found[1], found[2], float(found[3])))
    return tuple(made)


CATALOGUE: Mapping[str, Definition] = MappingProxyType(_load())
"""By score id, in the order of topics."""
