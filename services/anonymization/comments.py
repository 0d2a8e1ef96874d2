"""What a laboratory wrote beside its results, as analysis gets it. Pure.

Of a free text those clauses go on that are made of a closed vocabulary of what laboratories write,
names of analytes and short figures; "…" stands for the others. A recogniser would stop the names
that it knows of, a vocabulary also stops what nobody foresaw. Codes of a specimen's condition are
written out.

Source: FHIR R4 Observation.note, ServiceRequest.note, Specimen.note and .condition; HL7 tables 0490
and 0493.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from services.anonymization import laboratory
from services.anonymization.documents.decoding import printable
from services.anonymization.known import KnownStrings
from services.anonymization.vocabulary import read

Json = Any
Resource = Mapping[str, Json]

CHARS_MAX = 2000
COUNT_MAX = 20
"""Comments of one resource, and of a submission's orders and specimens."""
DIGITS_MAX = 8
"""Figures of a clause; more may be a number of somebody."""
WORDS = read("comment_words.txt")
_ALONE = frozenset("已请有无未不用与及的为较或待再本该此故因但仅内时从对")
"""Words of one character that are hardly anybody's name; two in a row are none."""
_RUNS = WORDS | laboratory.NAMES
_LONGEST = max(map(len, _RUNS))
_BETWEEN = re.compile(r"(?<=[,，。;；!！?？、\n])|(?<=\.)(?!\d)|(?<=[\u4e00-\u9fff])(?=\s)")
_TOKEN = re.compile(r"[0-9]+(?:\.[0-9]+)?|[A-Za-z]+|[\u4e00-\u9fff]+|[^\W_]+")
_DATED = re.compile(r"[0-9]\s*[-/:：年月日点时]\s*[0-9]|[0-9]\s*[年月日]")
_CONDITIONS = {
    **{"AUT": "autolyzed", "CLOT": "clotted", "CON": "contaminated", "COOL": "cool"},
    **{"FROZ": "frozen", "HEM": "hemolyzed", "SNR": "sample not received"},
    **{"RC": "clotted", "RH": "hemolyzed", "RN": "contaminated", "QS": "quantity not sufficient"},
}


@dataclass(frozen=True, slots=True)
class Comment:
    """What was written of an order or a specimen."""

    text: str
    """As submitted."""
    results: tuple[str, ...]
    """References of the Observations that belong to it."""


def of_orders(named: Iterable[tuple[str, str, Resource]]) -> tuple[Comment, ...]:
    """Return what was written of orders and specimens that have results.

    `named`: reference, fullUrl (empty: none) and resource of each entry.
    """
    entries = list(named)
    results: dict[str, list[str]] = {}
    for reference, _, resource in entries:
        if resource.get("resourceType") == "Observation":
            for each in _about(resource):
                results.setdefault(each, []).append(reference)
    found: dict[str, set[str]] = {}
    for reference, url, resource in entries:
        if resource.get("resourceType") not in ("ServiceRequest", "Specimen"):
            continue
        own = [*results.get(reference, ()), *results.get(url, ())]
        if own:
            for text in (*_notes(resource), *_condition(resource)):
                found.setdefault(text, set()).update(own)
    return tuple(Comment(text, tuple(sorted(own))) for text, own in found.items())[:COUNT_MAX]


def own(resource: Resource, known: KnownStrings) -> dict[str, Json]:
    """Return the notes of an Observation without identity."""
    notes = [{"text": said} for each in _notes(resource) if (said := _redacted(each, known))]
    return {"note": notes} if notes else {}


def written(
    comments: Sequence[Comment], ids: Mapping[str, str], known: KnownStrings
) -> list[dict[str, Json]]:
    """Return what was written of orders without identity, with the new ids of its results."""
    made = []
    for each in comments:
        about = [ids[name] for name in each.results if name in ids]
        if about and (said := _redacted(each.text, known)):
            made.append({"text": said, "results": about})
    return made


def _redacted(text: str, known: KnownStrings) -> str:
    """Return the clauses of a text that say nothing of anybody; empty when there are none."""
    plain = unicodedata.normalize("NFKC", printable(text[:CHARS_MAX]))
    kept, some = [], False
    for clause in _BETWEEN.split(plain):
        if not clause.strip(" ,，。;；!！?？、.\n"):
            continue
        if _is_known(clause) and not known.within(clause):
            kept.append(clause)
            some = True
        elif kept[-1:] != ["…"]:
            kept.append("…")
    return "".join(kept).strip() if some else ""


@lru_cache(maxsize=4096)
def _is_known(clause: str) -> bool:
    found = _TOKEN.findall(clause)
    if sum(map(str.isdigit, clause)) > DIGITS_MAX or _DATED.search(clause):
        return False
    return all(_known(each, first=number == 0) for number, each in enumerate(found))


def _known(token: str, *, first: bool) -> bool:
    if token[0].isdigit():
        return len(token.partition(".")[0]) <= 4
    if not token.isascii():
        return _joined(token)
    if len(token) == 1:
        return True
    named = token[0].isupper() and not token.isupper() and not first
    return not named and (token.lower() in WORDS or laboratory.is_name(token))


def _joined(run: str) -> bool:
    """Tell whether a run of Chinese is words of the list, one after the other."""
    reachable = {(0, False)}
    for start in range(len(run)):
        for alone in (False, True):
            if (start, alone) not in reachable:
                continue
            ends = range(start + 2, min(start + _LONGEST, len(run)) + 1)
            reachable.update((end, False) for end in ends if run[start:end] in _RUNS)
            if not alone and run[start] in _ALONE:
                reachable.add((start + 1, True))
    return (len(run), False) in reachable or (len(run) > 1 and (len(run), True) in reachable)


def _about(resource: Resource) -> list[str]:
    """Return what an Observation belongs to: its orders and its specimen."""
    orders = resource.get("basedOn")
    nodes = [*(orders if isinstance(orders, list) else []), resource.get("specimen")]
    return [str(node.get("reference")) for node in nodes if isinstance(node, Mapping)]


def _notes(resource: Resource) -> list[str]:
    nodes = resource.get("note")
    texts = [e.get("text") for e in _objects(nodes)]
    return [each for each in texts if isinstance(each, str) and each.strip()][:COUNT_MAX]


def _condition(resource: Resource) -> list[str]:
    """Return the condition of a specimen in words."""
    found = []
    for concept in _objects(resource.get("condition")):
        codings = _objects(concept.get("coding"))
        words = [concept.get("text"), *(each.get("display") for each in codings)]
        words += [_CONDITIONS.get(str(each.get("code"))) for each in codings]
        said = next((each for each in words if isinstance(each, str) and each.strip()), "")
        found += [_CONDITIONS.get(said, said)] if said else []
    return found


def _objects(value: Json) -> list[Resource]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
