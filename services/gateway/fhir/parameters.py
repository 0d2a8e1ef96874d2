"""Search parameters of each resource type, and the values a resource is found under. Pure.

Names and paths follow the R4 SearchParameter definitions. A value that could identify a
patient (an identifier, a reference to what a hospital sent, a code of its own) is `hidden`:
the store keeps its keyed hash alone, which still finds exact matches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MANY_MAX = 16
"""Values one parameter may list with commas."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter: its FHIR type, where its values stand, what it means."""

    name: str
    kind: str
    """token or reference."""
    path: str
    hidden: bool = False
    target: str = ""
    """Type a reference parameter's bare id is of; empty: the type must be written."""


def _subject(path: str) -> tuple[Parameter, ...]:
    return (
        Parameter("subject", "reference", path, hidden=True, target="Patient"),
        Parameter("patient", "reference", path, hidden=True, target="Patient"),
    )


_IDENTIFIER = Parameter("identifier", "token", "identifier", hidden=True)
_STATUS = Parameter("status", "token", "status")
_CODE = Parameter("code", "token", "code")
_CATEGORY = Parameter("category", "token", "category")
_SENT_STATUS = Parameter("status", "token", "status", hidden=True)
_SENT_CODE = Parameter("code", "token", "code", hidden=True)
"""Of what a hospital sent: even a code may be one of its own."""
_BASED_ON = Parameter("based-on", "reference", "basedOn", hidden=True, target="ServiceRequest")

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "DiagnosticReport": (
        *_subject("subject"),
        _IDENTIFIER,
        _STATUS,
        _CODE,
        _CATEGORY,
        _BASED_ON,
        Parameter("result", "reference", "result", target="Observation"),
    ),
    "Observation": (
        *_subject("subject"),
        _IDENTIFIER,
        _STATUS,
        _CODE,
        _CATEGORY,
        _BASED_ON,
        Parameter("device", "reference", "device", target="Device"),
    ),
    "Task": (
        *_subject("for"),
        _IDENTIFIER,
        _STATUS,
        _CODE,
        _BASED_ON,
        Parameter("focus", "reference", "focus", hidden=True),
        Parameter("business-status", "token", "businessStatus"),
        Parameter("priority", "token", "priority"),
    ),
    "Provenance": (
        Parameter("target", "reference", "target"),
        Parameter("agent", "reference", "agent.who"),
    ),
    "Device": (_IDENTIFIER, _STATUS, Parameter("type", "token", "type")),
    "Media": (*_subject("subject"), _IDENTIFIER, _STATUS, _BASED_ON),
    "DocumentReference": (
        *_subject("subject"),
        _IDENTIFIER,
        _STATUS,
        Parameter("type", "token", "type"),
    ),
    "RiskAssessment": (*_subject("subject"), _IDENTIFIER),
    "DetectedIssue": (
        Parameter("patient", "reference", "patient", hidden=True, target="Patient"),
        _IDENTIFIER,
        _CODE,
    ),
    "Composition": (*_subject("subject"), _STATUS, Parameter("type", "token", "type")),
    "ImagingStudy": (*_subject("subject"), _IDENTIFIER, _SENT_STATUS),
    "ServiceRequest": (*_subject("subject"), _IDENTIFIER, _SENT_STATUS, _SENT_CODE),
    "Patient": (_IDENTIFIER,),
    "Practitioner": (_IDENTIFIER,),
    "Consent": (
        Parameter("patient", "reference", "patient", hidden=True, target="Patient"),
        _IDENTIFIER,
        _SENT_STATUS,
    ),
    "Binary": (),
}
"""Every resource type that can be read, with what it can be found by besides `_id`."""


def values(resource: Mapping[str, Any]) -> Iterator[tuple[Parameter, str]]:
    """Yield each parameter with each value the resource is found under.

    A token gives `code`, `system|code` and `system|` (or `|code` without a system), so
    every R4 form of a token search is one exact comparison.
    """
    for parameter in PARAMETERS.get(str(resource.get("resourceType")), ()):
        seen: set[str] = set()
        for node in _walk(resource, parameter.path.split(".")):
            for value in _forms(parameter, node):
                if value not in seen and len(value) <= 256:
                    seen.add(value)
                    yield parameter, value


def _forms(parameter: Parameter, node: Any) -> Iterator[str]:
    if parameter.kind == "reference":
        if isinstance(node, Mapping) and isinstance(node.get("reference"), str):
            yield node["reference"]
        return
    if isinstance(node, str):
        yield from (node, f"|{node}")
        return
    if not isinstance(node, Mapping):
        return
    for coding in node.get("coding", [node]):
        code = coding.get("code", coding.get("value"))
        system = coding.get("system", "")
        if isinstance(code, str):
            yield from (code, f"{system}|{code}")
        if system:
            yield f"{system}|"


def _walk(node: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _walk(node[path[0]], path[1:])
