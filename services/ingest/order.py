"""What an order asks of the mesh: priority, purpose, language, due time. Pure.

Source: FHIR R4 ServiceRequest; value set request-priority; v3-ActReason PurposeOfUse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dxmesh.event.v1.case_ref_pb2 import (
    LANGUAGE_EN,
    LANGUAGE_ZH,
    PRIORITY_ROUTINE,
    PRIORITY_STAT,
    PRIORITY_URGENT,
    Language,
    Priority,
)

from services.ingest.limits import Defaults
from services.kernel.errors import Violation

Json = Any
Resource = Mapping[str, Json]

PRIORITIES: dict[str, Priority.ValueType] = {
    "routine": PRIORITY_ROUTINE,
    "urgent": PRIORITY_URGENT,
    "asap": PRIORITY_URGENT,
    "stat": PRIORITY_STAT,
}
"""`asap` is taken as urgent: stat alone means at once."""
LANGUAGES: dict[str, Language.ValueType] = {"en": LANGUAGE_EN, "zh": LANGUAGE_ZH}
DEFAULT_PURPOSE = "TREAT"
PURPOSES = ("TREAT", "HRESCH", "MODELTRAIN")
PURPOSE_SYSTEMS = frozenset(
    (
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        "http://hl7.org/fhir/v3/ActReason",
        "urn:dxmesh:purpose",
    )
)
DUE_TIME = "urn:dxmesh:fhir:StructureDefinition:due-time"
"""Extension of ServiceRequest, valueDateTime or valueInstant with a zone."""


def priority(order: Resource) -> Priority.ValueType:
    """Return the priority; routine when none is stated."""
    return PRIORITIES.get(str(order.get("priority") or "routine"), PRIORITY_ROUTINE)


def purposes(bundle: Resource, order: Resource) -> list[str]:
    """Return the purposes of use that Bundle and order are labelled with (`meta.security`)."""
    found = [*_purposes(bundle), *_purposes(order)]
    return list(dict.fromkeys(found)) or [DEFAULT_PURPOSE]


def language(bundle: Resource, order: Resource, default: str) -> tuple[Language.ValueType, str]:
    """Return the report's language, and the stated one when it cannot be had."""
    for resource in (bundle, order):
        if stated := str(resource.get("language") or ""):
            found = LANGUAGES.get(stated.replace("_", "-").split("-")[0].lower())
            return (found, "") if found else (LANGUAGES[default], stated)
    return LANGUAGES[default], ""


def stated_due(order: Resource) -> tuple[int, str] | None:
    """Return the place among the extensions and the text of a stated due time."""
    for number, extension in enumerate(order.get("extension") or ()):
        if isinstance(extension, Mapping) and extension.get("url") == DUE_TIME:
            value = extension.get("valueDateTime") or extension.get("valueInstant")
            return number, str(value or "")
    return None


def due(text: str, accepted: datetime, defaults: Defaults) -> tuple[datetime, bool]:
    """Return when the report goes out, and whether a stated time had to be moved.

    A time that is nearer or further than the limits becomes the limit.
    """
    stated = instant(text)
    if stated is None:
        return accepted + timedelta(seconds=defaults.due_s), False
    nearest = accepted + timedelta(seconds=defaults.due_s_min)
    furthest = accepted + timedelta(seconds=defaults.due_s_max)
    kept = min(max(stated, nearest), furthest)
    return kept, kept != stated


def instant(text: str) -> datetime | None:
    """Return an instant written with a clock time and a zone; None for anything else."""
    if "T" not in text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def problems(bundle: Resource, order: Resource, path: str) -> Iterator[Violation]:
    """Yield what an order says that is not understood, by path."""
    if str(order.get("priority") or "routine") not in PRIORITIES:
        yield Violation(f"{path}.priority", f"must be one of {', '.join(PRIORITIES)}")
    found = purposes(bundle, order)
    if len(found) > 1 or found[0] not in PURPOSES:
        yield Violation("Bundle.meta.security", f"one purpose of {', '.join(PURPOSES)}")
    stated = stated_due(order)
    if stated and instant(stated[1]) is None:
        place = f"{path}.extension[{stated[0]}]"
        yield Violation(place, "needs a valueDateTime with clock time and zone")


def _purposes(resource: Resource) -> Iterator[str]:
    for label in (resource.get("meta") or {}).get("security") or ():
        if label.get("system") in PURPOSE_SYSTEMS and label.get("code"):
            yield str(label["code"])
