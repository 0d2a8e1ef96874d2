"""What may not stand in a narrative: R4 narrative, 2.4.0.1, invariant txt-1. Pure.

A narrative is shown in browsers, so it is read as strictly as it is written: whatever begins
with "<" must be a tag of formatting HTML with quoted attributes, or a comment without markup.
How tags nest is not checked. Four official examples have an empty `div`, so neither is txt-2.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from services.kernel.errors import Violation

Json = Any

_TAGS = (
    "a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd del dfn div "
    "dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre q s samp small span strong sub sup "
    "table tbody td tfoot th thead tr tt u ul var"
)
"""Of HTML 4.0, chapters 7 to 11 and 15; links and images."""
_ATTRIBUTES = (
    "abbr align alt axis border cellhalign cellpadding cellspacing cellvalign char charoff charset "
    "cite class colspan compact coords datetime dir frame headers height href hreflang id lang "
    "longdesc name nowrap rel rev rowspan rules scope shape span src start style summary tabindex "
    "title type usemap valign value width xml:lang xml:space xmlns"
)
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())
LINKS = frozenset({"href", "src", "cite", "longdesc", "usemap"})
SCHEMES = frozenset({"http", "https", "mailto", "tel", "urn", "cid"})
IMAGES = ("data:image/png", "data:image/jpeg", "data:image/gif")
_COMMENT = re.compile(r"<!--(?![->])[^<>]*-->")
_TAG = re.compile(
    r"</?([A-Za-z][A-Za-z0-9]*)"
    r"""((?:\s+[A-Za-z][A-Za-z:_-]*\s*=\s*(?:"[^"<]*+"|'[^'<]*+'))*+)\s*+/?>"""
)
_ATTRIBUTE = re.compile(r"""([A-Za-z][A-Za-z:_-]*)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):")
_LOADS = re.compile(r"url\s*\(|@import|expression\s*\(|\\", re.IGNORECASE)


def problems(resource: Json, kind: str) -> Iterator[Violation]:
    """Yield what is wrong in every narrative of a resource, and of those inside it."""
    waiting = [(resource, kind)]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, dict):
            text = node.get("div")
            if isinstance(text, str) and (problem := unsafe(text)):
                yield Violation(f"{path}.div", problem)
            waiting += [
                (inner, f"{path}.{name[:64]}")
                for name, inner in node.items()
                if isinstance(inner, dict | list)
            ]
        elif isinstance(node, list):
            waiting += [
                (inner, f"{path}[{number}]")
                for number, inner in enumerate(node)
                if isinstance(inner, dict | list)
            ]


def unsafe(text: str) -> str:
    """Return what is wrong in the XHTML of a narrative; empty: nothing."""
    at = 0
    while (at := text.find("<", at)) >= 0:
        if comment := _COMMENT.match(text, at):
            at = comment.end()
            continue
        tag = _TAG.match(text, at)
        if tag is None:
            return "txt-1: not XHTML with quoted attributes"
        if tag[1].lower() not in TAGS:
            return "txt-1: only tags that format text, links and images are allowed"
        for name, double, single in _ATTRIBUTE.findall(tag[2]):
            if problem := _attribute(name.lower(), double or single):
                return problem
        at = tag.end()
    return ""


def _attribute(name: str, written: str) -> str:
    if name not in ATTRIBUTES and not name.startswith("xmlns:"):
        return "txt-1: an attribute that is not allowed, such as of an event"
    value = "".join(html.unescape(written).split()).lower()
    if name == "style" and _LOADS.search(value):
        return "txt-1: a style may not load anything"
    if name not in LINKS:
        return ""
    value = re.sub(r"[\x00-\x20\x7f]", "", value)
    scheme = _SCHEME.match(value)
    if scheme and scheme[1] not in SCHEMES and not value.startswith(IMAGES):
        return "txt-1: a link that is no address"
    return ""
