"""Write id and version into a resource's JSON without touching any other byte. Pure.

A decimal, a time, white space and the order of keys stay as they came; only the values of
`id`, `meta.versionId` and `meta.lastUpdated` are replaced, or inserted where they are missing.
A byte-order mark is dropped: JSON on the wire may not begin with one (RFC 8259, 8.1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

BOM = b"\xef\xbb\xbf"

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]+")
_TO_BRACKET = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)

Span = tuple[int, int]
Member = tuple[str, Span]
"""A key with where its value stands."""


def splice(content: bytes, *, resource_id: str, version_id: str, last_updated: str) -> bytes:
    """Return the resource with these three values; the rest byte for byte as it was.

    Parameters
    ----------
    content : one JSON object, already known to be valid

    Raises
    ------
    ValueError
        `content` is no JSON object.
    """
    if content.startswith(BOM):
        content = content[len(BOM) :]
    meta = {"versionId": _text(version_id), "lastUpdated": _text(last_updated)}
    return _written(content, {"id": _text(resource_id)}, meta)


def _written(content: bytes, plain: dict[str, bytes], meta: dict[str, bytes]) -> bytes:
    start = _opening(content, 0)
    found: dict[str, Span] = {}
    for key, span in _members(content, start):
        if key in ("resourceType", "id", "meta"):
            found[key] = span
            if len(found) == 3:
                break
    edits: list[tuple[Span, bytes]] = []
    missing: list[bytes] = []
    if "id" in found:
        edits.append((found["id"], plain["id"]))
    else:
        missing.append(b'"id":' + plain["id"])
    if "meta" in found and content[found["meta"][0]] == 0x7B:
        edits += _edits(content, found["meta"][0], meta)
    elif "meta" in found:
        edits.append((found["meta"], b"{" + _joined(meta) + b"}"))
    else:
        missing.append(b'"meta":{' + _joined(meta) + b"}")
    if missing:
        edits.append(_insertion(content, start, found.get("resourceType"), missing))
    return _applied(content, edits)


def _insertion(
    content: bytes, start: int, after: Span | None, missing: Sequence[bytes]
) -> tuple[Span, bytes]:
    """Return the edit that adds members, after `resourceType` where there is one."""
    text = b",".join(missing)
    if after:
        return (after[1], after[1]), b"," + text
    inside = _skip_space(content, start + 1)
    comma = b"" if content[inside : inside + 1] == b"}" else b","
    return (start + 1, start + 1), text + comma


def _edits(content: bytes, start: int, wanted: dict[str, bytes]) -> list[tuple[Span, bytes]]:
    """Return the edits that give the object at `start` these members."""
    left = dict(wanted)
    edits: list[tuple[Span, bytes]] = []
    for key, span in _members(content, start):
        if key in left:
            edits.append((span, left.pop(key)))
            if not left:
                return edits
    members = [b'"' + key.encode() + b'":' + value for key, value in left.items()]
    return [*edits, _insertion(content, start, None, members)]


def _applied(content: bytes, edits: list[tuple[Span, bytes]]) -> bytes:
    pieces: list[bytes] = []
    place = 0
    for (start, end), text in sorted(edits):
        pieces += (content[place:start], text)
        place = end
    return b"".join([*pieces, content[place:]])


def _members(content: bytes, start: int) -> Iterator[Member]:
    """Yield the members of the object whose brace stands at `start`."""
    place = _skip_space(content, start + 1)
    while content[place : place + 1] != b"}":
        key = _STRING.match(content, place)
        if not key:
            raise ValueError("not a JSON object")
        colon = _skip_space(content, key.end())
        value = _skip_space(content, colon + 1)
        end = _end_of_value(content, value)
        raw = key.group()
        yield (str(json.loads(raw)) if b"\\" in raw else raw[1:-1].decode()), (value, end)
        place = _skip_space(content, end)
        if content[place : place + 1] == b",":
            place = _skip_space(content, place + 1)
        elif content[place : place + 1] != b"}":
            raise ValueError("not a JSON object")


def _end_of_value(content: bytes, place: int) -> int:
    first = content[place : place + 1]
    if first == b'"':
        string = _STRING.match(content, place)
        if not string:
            raise ValueError("a string does not end")
        return string.end()
    if first not in (b"{", b"["):
        scalar = _SCALAR.match(content, place)
        if not scalar:
            raise ValueError("a value is missing")
        return scalar.end()
    depth = 1
    place += 1
    while depth:
        skipped = _TO_BRACKET.match(content, place)
        place = skipped.end() if skipped else place
        bracket = content[place : place + 1]
        if bracket not in (b"{", b"[", b"}", b"]"):
            raise ValueError("brackets do not match")
        depth += 1 if bracket in b"{[" else -1
        place += 1
    return place


def _opening(content: bytes, place: int) -> int:
    place = _skip_space(content, place)
    if content[place : place + 1] != b"{":
        raise ValueError("not a JSON object")
    return place


def _skip_space(content: bytes, place: int) -> int:
    found = _SPACE.match(content, place)
    return found.end() if found else place


def _joined(members: dict[str, bytes]) -> bytes:
    return b",".join(b'"' + key.encode() + b'":' + value for key, value in members.items())


def _text(value: str) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
