"""Patients and encounters to choose from, as the physician may see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.call import Call
from services.gateway.fhir.names import written
from services.gateway.fhir.search import query
from services.gateway.store.stored import Stored
from services.kernel import fhir

SHOWN_MAX = 20
TEXT_CHARS_MAX = 100
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of a picker."""

    id: str
    title: str
    details: tuple[str, ...]


async def patients(call: Call, text: str) -> list[Choice]:
    """Return patients whose name begins with, or whose identifier is, a text; else the newest."""
    text = text.strip()[:TEXT_CHARS_MAX]
    asked: list[tuple[str, str]] = [("", "")]
    if text:
        literal = "".join(f"\\{c}" if c in "\\,|$" else c for c in text)
        asked = [("identifier", literal), ("name", literal)]
    found: dict[str, Choice] = {}
    for name, value in asked:
        pairs = [(name, value)] if name else []
        for stored in await _page(call, "Patient", pairs):
            found.setdefault(stored.id, patient_choice(fhir.parse(stored.content)))
    return list(found.values())[:SHOWN_MAX]


async def patient(call: Call, patient_id: str) -> Choice | None:
    """Return one patient, or None where there is none the physician may see."""
    for stored in await _page(call, "Patient", [("_id", patient_id)]):
        return patient_choice(fhir.parse(stored.content))
    return None


async def encounters(call: Call, patient_id: str) -> list[Choice]:
    """Return a patient's encounters, newest first."""
    found = await _page(call, "Encounter", [("patient", f"Patient/{patient_id}")])
    return [encounter_choice(fhir.parse(stored.content)) for stored in found]


async def _page(call: Call, kind: str, pairs: Sequence[tuple[str, str]]) -> list[Stored]:
    wanted = query.parse(kind, [*pairs, ("_count", str(SHOWN_MAX))], base_url=call.base_url)
    visibility = call.principal.rights.visibility("s")
    page = await call.store.searches.page(call.tenant, wanted, visibility)
    return list(page.matches)


def patient_choice(resource: Json) -> Choice:
    """Return how a Patient is shown: name, birth date, sex, identifiers."""
    names: Sequence[Json] = resource.get("name", [])
    best = next((n for n in names if n.get("use") == "official"), next(iter(names), {}))
    name = written(best) or resource["id"]
    numbers = [str(i["value"]) for i in resource.get("identifier", []) if i.get("value")]
    details = (resource.get("birthDate", ""), resource.get("gender", ""), ", ".join(numbers[:2]))
    return Choice(str(resource["id"]), str(name), tuple(str(each) for each in details))


def encounter_choice(resource: Json) -> Choice:
    """Return how an Encounter is shown: kind, start, status."""
    kinds = [t.get("text") or _display(t) for t in resource.get("type", [])]
    title = next((kind for kind in kinds if kind), "") or _coding(resource.get("class", {}))
    start = str(resource.get("period", {}).get("start", ""))[:16].replace("T", " ")
    return Choice(
        str(resource["id"]), title or str(resource["id"]), (start, str(resource.get("status", "")))
    )


def _display(concept: Json) -> str:
    return next((_coding(c) for c in concept.get("coding", []) if _coding(c)), "")


def _coding(coding: Json) -> str:
    return str(coding.get("display") or coding.get("code") or "")
