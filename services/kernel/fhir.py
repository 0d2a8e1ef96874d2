"""FHIR plumbing: JSON read without losing a digit, written back, refused by path.

A decimal keeps the characters it came with (`19.00` stays `19.00`), because in FHIR the
precision is part of the value (R4 datatypes, decimal).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from services.kernel.errors import InvalidInput, MeshError, Violation

MEDIA_TYPE = "application/fhir+json"
DEPTH_MAX = 64

Json = Any
"""A JSON value; numbers that an int of 64 bits cannot keep as written are `Number`."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STRINGS = re.compile(rb'"[^"]*+"?')
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_OPEN = ord("[")


class Number(Decimal):
    """A decimal that remembers how it was written."""

    written: str

    def __new__(cls, text: str) -> Number:
        try:
            value = super().__new__(cls, text)
        except InvalidOperation as error:
            raise InvalidInput("a number has an exponent no computer holds") from error
        value.written = text
        return value


def parse(content: bytes, *, depth_max: int = DEPTH_MAX) -> Json:
    """Return the JSON value in `content` (UTF-8, with or without a byte-order mark).

    Raises
    ------
    InvalidInput
        Not JSON, a duplicate key, NaN or Infinity, or nested deeper than `depth_max`.
    """
    if _depth(content) > depth_max:
        raise InvalidInput(f"JSON is nested deeper than {depth_max}", reason="TOO_DEEP")
    try:
        value = json.loads(
            content.decode("utf-8-sig"),
            parse_float=Number,
            parse_int=_whole,
            parse_constant=_no_constant,
            object_pairs_hook=_no_duplicates,
        )
    except UnicodeDecodeError as error:
        raise InvalidInput("the content is not UTF-8", reason="NOT_UTF8") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInput(f"not JSON: {error.msg} at {where}", reason="NOT_JSON") from error
    if _SURROGATE.search(content):
        _refuse_half_characters(value)
    return value


def dump(value: Json) -> bytes:
    """Return compact UTF-8 JSON; a `Number` is written as it came."""
    return orjson.dumps(value, default=_written)


def outcome(error: MeshError, *, diagnostics: str = "") -> dict[str, Json]:
    """Return an OperationOutcome for an error: one issue per violation, or one in all."""
    coding = {"system": "urn:dxmesh:reason", "code": error.reason}
    severity = "error"
    text = diagnostics or error.message
    issues: list[dict[str, Json]] = []
    for violation in getattr(error, "violations", None) or [None]:
        issue: dict[str, Json] = {
            "severity": severity,
            "code": error.issue,
            "details": {"coding": [coding], "text": violation.problem if violation else text},
            "diagnostics": text,
        }
        if violation and violation.path:
            issue["expression"] = [violation.path]
        issues.append(issue)
    return {"resourceType": "OperationOutcome", "issue": issues}


def problems(resource: Mapping[str, Json]) -> list[Violation]:
    """Return what `fhir.resources` finds wrong in an R4 resource, each with its path.

    The models are R4B, which is the same as R4 4.0.1 for every type dxmesh uses.
    """
    from fhir.resources.R4B import get_fhir_model_class  # slow to import
    from fhir.resources.R4B.resource import Resource

    kind = resource.get("resourceType")
    try:
        model = get_fhir_model_class(str(kind))
    except (KeyError, ValueError):
        model = None
    if model is None or not issubclass(model, Resource):
        return [Violation("resourceType", "not a FHIR R4 resource type")]
    try:
        model.model_validate(dict(resource))
    except ValueError as error:
        return _violations(str(kind), error)
    return []


def _violations(kind: str, error: ValueError) -> list[Violation]:
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return [Violation(kind, "does not conform")]
    found: dict[tuple[str, str], Violation] = {}
    for item in errors():
        path = kind
        for step in item["loc"]:
            if isinstance(step, int):
                path += f"[{step}]"
            elif step[:1].islower():
                path += f".{step[:64]}"
        # Only the kind of problem: pydantic's text quotes the value, which may identify.
        problem = item["type"].replace("_", " ").replace(".", ": ")
        found[(path, problem)] = Violation(path, problem)
    return list(found.values())


def _written(value: object) -> object:
    if isinstance(value, Number):
        return orjson.Fragment(value.written)
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def _no_constant(text: str) -> None:
    raise InvalidInput(f"{text} is not JSON", reason="NOT_JSON")


def _no_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("an object has the same key twice", reason="DUPLICATE_KEY")
    return found


def _whole(text: str) -> int | Number:
    """Return an int, or a `Number` where an int of 64 bits would lose something."""
    return Number(text) if len(text) > 18 or text == "-0" else int(text)


def _refuse_half_characters(value: Json) -> None:
    try:
        dump(value)
    except TypeError as error:
        raise InvalidInput("a string holds half a character", reason="NOT_JSON") from error


def _depth(content: bytes) -> int:
    """Return how deep brackets nest, outside strings; linear, so no input is costly."""
    if b"\\" in content:  # an escaped quote ends no string
        content = content.replace(rb"\\", b"").replace(rb"\"", b"")
    marks = content.translate(_ONE_KIND, _NO_MARKS).replace(b'""', b"")
    if b'"' in marks:  # some string holds brackets, as units do
        marks = _STRINGS.sub(b"", marks)
    left = marks
    for depth in range(DEPTH_MAX):  # each round takes the innermost pairs away
        if not left:
            return depth
        if (fewer := left.replace(b"[]", b"")) == left:
            break
        left = fewer
    depth = deepest = 0
    for bracket in marks:
        depth += 1 if bracket == _OPEN else -1
        deepest = max(deepest, depth)
    return deepest
