"""Codes of v2 tables in FHIR; see `codes.toml`. Pure."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from typing import Final
from urllib.parse import quote

from services.ingest.hl7v2.site import Site

TABLES: Final[dict[str, dict[str, str]]] = tomllib.loads(
    (resources.files(__package__) / "codes.toml").read_text("utf-8")
)
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
IDENTIFIER_TYPE = f"{TERMINOLOGY}v2-0203"
OURS = "urn:dxmesh:hl7v2:"
"""Begins the URI of what a sender names and nobody has given a URI."""
_TABLE = re.compile(r"(?:HL7|HL7-)?(\d{4})")


def code(table: str, value: str) -> str:
    """Return the FHIR code of a v2 code; empty when the table has none."""
    return TABLES[table].get(value, "")


def system(name: str, oid: str, site: Site) -> str:
    """Return the URI of a coding system by its name (table 0396) or OID; empty: not named."""
    if known := site.codes.get(name) or TABLES["systems"].get(name):
        return known
    if re.fullmatch(r"[0-2](\.\d+)+", oid):
        return f"urn:oid:{oid}"
    if found := _TABLE.fullmatch(name):
        return f"{TERMINOLOGY}v2-{found[1]}"
    return f"{OURS}codes:{quote(name, safe='')}" if name else ""
