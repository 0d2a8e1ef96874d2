"""Results of a report that a later case corrects: what the cases and their Tasks say. Pure.

Source: docs/adr/0038-corrections.md; R4 Communication, Task.output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dxmesh.event.v1.case_received_pb2 import CORRECTION_KIND_WITHDRAWN, Correction

from services.gateway.critical import communication
from services.gateway.restore import Identity
from services.gateway.web.words import Words

Json = Any
Label = Mapping[str, Json]

CORRECTED, CORRECTS = "corrected", "corrects"
"""Names in a case's label: results of its own that fell, and those of others that it corrects."""
CHANGED, WITHDRAWN = "changed", "withdrawn"
CRITICAL = "critical_results"
"""Name in a case's label: of each critical result what the results it was made of are known by."""
IDENTIFIER = "urn:dxmesh:correction"


@dataclass(frozen=True, slots=True)
class Known:
    """Results of a case that stand in one other case too, corrected."""

    case_id: str
    """The other case."""
    at: str
    """When the later one was received, FHIR instant."""
    changed: int
    withdrawn: int
    names: tuple[str, ...] = ()
    """What the results are called, where the report has them."""


def cases_of(found: Iterable[Correction]) -> list[str]:
    """Return every case that corrections speak of."""
    named = {each for one in found for each in (one.earlier_case_id, one.later_case_id)}
    return sorted(named)


def noted(label: Label, case_id: str, found: Iterable[Correction], at: str) -> dict[str, Json]:
    """Return a case's label with what corrections say of it; a repeat changes nothing."""
    made: dict[str, Json] = {**label}
    for each in found:
        kind = WITHDRAWN if each.kind == CORRECTION_KIND_WITHDRAWN else CHANGED
        for name, own, other, result in (
            (CORRECTED, each.earlier_case_id, each.later_case_id, each.earlier_result),
            (CORRECTS, each.later_case_id, each.earlier_case_id, each.later_result),
        ):
            entry = {"result": result, "case": other, "kind": kind, "at": at}
            known = made.get(name, [])
            same = any((e["result"], e["case"]) == (result, other) for e in known)
            if own == case_id and not same:
                made[name] = [*known, entry]
    return made


def read(
    label: Label, name: str, results: Iterable[Json] = (), key: Callable[[str], str] = str
) -> list[Known]:
    """Return what a label knows, by the other case, the latest first.

    Parameters
    ----------
    name : CORRECTED or CORRECTS
    results : Observations of the report
    key : what a reference is known by in the label
    """
    entries = label.get(name, [])
    if not entries:
        return []
    called = _names(results, key, {each["result"] for each in entries})
    found = []
    for case_id in dict.fromkeys(each["case"] for each in entries):
        mine = [each for each in entries if each["case"] == case_id]
        withdrawn = sum(each["kind"] == WITHDRAWN for each in mine)
        names = dict.fromkeys(n for each in mine for n in called.get(each["result"], ()))
        at = max(each["at"] for each in mine)
        found.append(Known(case_id, at, len(mine) - withdrawn, withdrawn, tuple(names)))
    return sorted(found, key=lambda each: each.at, reverse=True)


def fallen(label: Label, results: Iterable[Json], key: Callable[[str], str]) -> frozenset[str]:
    """Return the ids of a report's Observations whose result was corrected since."""
    known = {each["result"] for each in label.get(CORRECTED, [])}
    if not known:
        return frozenset()
    return frozenset(str(each["id"]) for each in results if known & set(sources(each, key)))


def sources(result: Json, key: Callable[[str], str]) -> list[str]:
    """Return what the results are known by that an Observation was made of."""
    return [key(str(each.get("reference", ""))) for each in result.get("derivedFrom", [])]


def badges(label: Label) -> dict[str, int]:
    """Return the counts of a case; a critical result that was corrected since counts no more."""
    found = dict(label.get("badges", {}))
    known = {each["result"] for each in label.get(CORRECTED, [])}
    fell = sum(bool(known & set(each)) for each in label.get(CRITICAL, []))
    if fell:
        found["critical"] = max(0, found.get("critical", 0) - fell)
    return found


def notice(
    notice_id: str, case_id: str, report: str, known: Known, identity: Identity, sent: str
) -> dict[str, Json]:
    """Return the Communication that tells whoever relies on a report that part of it fell.

    Parameters
    ----------
    report : reference of the DiagnosticReport
    """
    texts = [said(Words(tag), known, CORRECTED) for tag in ("zh", "en")]
    order = identity.service_request
    made: dict[str, Json] = {
        "resourceType": communication.KIND,
        "id": notice_id,
        "meta": {"security": communication.labels(identity)},
        "identifier": [{"system": IDENTIFIER, "value": notice_id}],
        "partOf": [{"reference": f"Task/{each}"} for each in (case_id, known.case_id)],
        "status": communication.DONE,
        "category": [
            communication.concept(communication.CATEGORIES, "notification", "Notification")
        ],
        "priority": "urgent",
        "subject": {"reference": f"Patient/{identity.patient['id']}"},
        "topic": communication.concept(communication.TOPICS, "report-labs", "Labs Report"),
        "about": [{"reference": report}],
        "sent": sent,
        "sender": {"display": communication.SENDER},
        "payload": [
            {"contentString": "\n".join(texts)},
            {"contentReference": {"reference": report}},
        ],
    }
    if order.get("id"):
        made["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"}]
    if ordered_by := communication.requester(order):
        made["recipient"] = [ordered_by]
    return made


def said(words: Words, known: Known, name: str) -> str:
    """Return what is said of it to a reader."""
    text = words(f"correction.{name}", changed=known.changed, withdrawn=known.withdrawn)
    names = ("、" if words.language == "zh" else ", ").join(known.names)
    return text + (words("correction.names", names=names) if names else "")


def _names(
    results: Iterable[Json], key: Callable[[str], str], wanted: set[str]
) -> dict[str, Sequence[str]]:
    """Return by key what the Observations are called that were made of submitted results."""
    found: dict[str, list[str]] = {}
    for each in results:
        for source in each.get("derivedFrom", []):
            hashed = key(str(source.get("reference", "")))
            if hashed in wanted:
                found.setdefault(hashed, []).append(str(each.get("code", {}).get("text", "")))
    return {k: [n for n in names if n] for k, names in found.items()}
