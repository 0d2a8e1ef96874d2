"""The narrative of a CDA document (C-CDA and the Chinese shared documents), section by section.

Only what a physician reads is taken: titles and narrative text. The header's people, numbers
and places are told as known strings, so that they go from the text; coded entries repeat the
narrative and are left out (CDA R2: the narrative is what the author is responsible for).

Source: HL7 CDA Release 2 (2005), 4.3.4 and 4.3.5; C-CDA 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from services.anonymization.documents.taken import Document, UnusableNote
from services.anonymization.known import KnownStrings

NAMESPACE = "urn:hl7-org:v3"
DEPTH_MAX = 64
_ROOT = re.compile(r"<(?:\w+:)?ClinicalDocument[\s>]")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_LOINC = "2.16.840.1.113883.6.1"
_LINES = frozenset(("paragraph", "item", "tr", "br", "caption", "footnote", "table", "list"))
_CELLS = frozenset(("td", "th"))
_PARTIES = frozenset(("assignedEntity", "assignedAuthor", "relatedEntity", "relatedSubject"))
NUMBER_LENGTH_MIN = 4
"""Shorter ids of a header stand for kinds and rows, and would take numbers from the text."""


def is_cda(text: str) -> bool:
    """Tell whether an XML text is a CDA document."""
    return _ROOT.search(text, 0, 20_000) is not None


def read(text: str) -> Document:
    """Return the narrative of a CDA document.

    Raises
    ------
    UnusableNote
        NOTE_NOT_XML: it cannot be parsed, has a document type, or is nested too deep.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring  # only where a note is CDA

    try:
        root = fromstring(_DECLARATION.sub("", text), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise UnusableNote(
            "a document is no XML that can be read", reason="NOTE_NOT_XML"
        ) from error
    if _depth(root) > DEPTH_MAX:
        raise UnusableNote(f"a document is nested deeper than {DEPTH_MAX}", reason="NOTE_NOT_XML")
    code = root.find(_path("code"))
    is_loinc = code is not None and code.get("codeSystem") == _LOINC
    birth = root.find(_path("recordTarget", "patientRole", "patient", "birthTime"))
    return Document(
        text="\n\n".join(_sections(root)),
        kind=str(code.get("code") or "") if code is not None and is_loinc else "",
        birth_date=str(birth.get("value") or "")[:8] if birth is not None else "",
        known=_known(root),
    )


def _path(*names: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{name}" for name in names)


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _depth(root: Element) -> int:
    depth, level = 0, [root]
    while level:
        depth, level = depth + 1, [child for each in level for child in each]
    return depth


def _sections(root: Element) -> Iterator[str]:
    for section in root.iter(_path("section")):
        title, text = section.find(_path("title")), section.find(_path("text"))
        body = _tidy("".join(_narrative(text))) if text is not None else ""
        if body:
            heading = " ".join("".join(title.itertext()).split()) if title is not None else ""
            yield f"{heading}\n{body}" if heading else body


def _narrative(element: Element) -> Iterator[str]:
    """Yield the text of a narrative block; blocks end lines, cells of a table end with a tab."""
    name = _name(element)
    if element.get("revised") == "delete" or name == "renderMultiMedia":
        return
    yield " ".join((element.text or "").split(" "))
    for child in element:
        yield from _narrative(child)
        yield child.tail or ""
    if name in _LINES:
        yield "\n"
    elif name in _CELLS:
        yield "\t"


def _tidy(text: str) -> str:
    """Return text without the indentation of the XML; cells stay apart, empty lines go."""
    lines = (re.sub(r"[ \r\f\v]+", " ", line).strip(" ") for line in text.split("\n"))
    return "\n".join(line.strip("\t ") for line in lines if line.strip())


def _known(root: Element) -> KnownStrings:
    """Return who the header names, with their numbers and addresses, and who the entries name.

    In entries a name may be a drug's: only those of people count there.
    """
    header = [each for each in root if _name(each) != "component"]
    people = [each for each in root.iter() if _name(each) in _PARTIES]
    names: set[str] = set()
    numbers: set[str] = set()
    places: set[str] = set()
    for element in (each for part in (*header, *people) for each in part.iter()):
        name = _name(element)
        if name == "id":
            numbers.add(str(element.get("extension") or ""))
        elif name == "telecom":
            numbers.add(str(element.get("value") or "").rpartition(":")[2])
        elif name == "addr":
            places.update((_text(element), *map(_text, element)))
        elif name.endswith("Person") or name in ("patient", "subject"):
            names.update(_text(each) for each in element.findall(_path("name")))
        elif name.endswith("Organization") or name == "place":
            places.update(_text(each) for each in element.findall(_path("name")))
    return KnownStrings(
        frozenset(each for each in names if len(each) > 1),
        frozenset(each for each in numbers if len(each) >= NUMBER_LENGTH_MIN),
        frozenset(each for each in places if len(each) > 1),
    )


def _text(element: Element) -> str:
    return " ".join(" ".join(element.itertext()).split())
