"""Coded concepts of findings, places, measures and qualities, from `codes.tsv`.

What no dictionary at hand has a code for is coded in our own scheme, 99DXMESH, whose codes
are the names that findings use (PS3.3 8.2: designators that begin with "99" are local).
"""

from __future__ import annotations

import csv
import hashlib
from importlib.resources import files

from dxmesh.imaging.v1 import imaging_findings_pb2 as pb
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

OWN = "99DXMESH"
CODE_CHARS = 16
_KINDS = {
    pb.FUNCTION_NODULES: ("nodule", "organ-lung", "procedure-ct-chest"),
    pb.FUNCTION_HAEMORRHAGE: ("haemorrhage", "organ-brain", "procedure-ct-head"),
    pb.FUNCTION_FRACTURES: ("fracture", "", "procedure-xray"),
    pb.FUNCTION_PATHOLOGY: ("tumour", "", "procedure-pathology"),
}
"""What each reading looks for, in which organ, and the procedure whose images it reads."""
_OBJECTS = frozenset({"hardware"})
_WHOLE = {"1": "no units", "%": "Percent", "d": "day", "mm": "mm"}
_SIDES = {pb.LATERALITY_LEFT: "laterality-left", pb.LATERALITY_RIGHT: "laterality-right"}


def rows() -> list[dict[str, str]]:
    """Return the rows of the table."""
    text = files("services.imaging.dicom_out").joinpath("codes.tsv").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


_ROWS = {row["key"]: row for row in rows()}


def concept(key: str) -> CodedConcept:
    """Return the concept of a key, from our own scheme where the table has no row."""
    if row := _ROWS.get(key):
        return CodedConcept(row["code"], row["scheme"], row["meaning"])
    return _own(key.partition("-")[2] or key)


def known(key: str) -> bool:
    """Tell whether a dictionary has a code for a key."""
    return key in _ROWS


def unit(ucum: str) -> CodedConcept:
    """Return a unit; UCUM codes are case-sensitive and stand for themselves."""
    return CodedConcept(ucum, "UCUM", _WHOLE.get(ucum, ucum))


def kind(finding: pb.Finding) -> CodedConcept:
    """Return what a finding is."""
    return concept(f"finding-{finding.kind}")


def looked_for(function: pb.Function.ValueType) -> CodedConcept:
    """Return what a reading looks for."""
    return concept(f"finding-{_KINDS[function][0]}")


def procedure(function: pb.Function.ValueType) -> CodedConcept:
    """Return the imaging procedure whose images a reading reads."""
    return concept(_KINDS[function][2])


def category(finding: pb.Finding) -> CodedConcept:
    """Return the category of a segment: an abnormal structure, or an object."""
    return concept("category-object" if finding.kind in _OBJECTS else "category-abnormal")


def place(finding: pb.Finding) -> CodedConcept | None:
    """Return where a finding lies: its site, else the reading's organ, else None."""
    if finding.site and known(f"site-{finding.site}"):
        return concept(f"site-{finding.site}")
    organ = _KINDS.get(finding.function, ("", "", ""))[1]
    if organ:
        return concept(organ)
    return concept(f"site-{finding.site}") if finding.site else None


def side(finding: pb.Finding) -> CodedConcept | None:
    """Return left or right, or None."""
    key = _SIDES.get(finding.laterality)
    return concept(key) if key else None


def value(name: str, said: str) -> CodedConcept:
    """Return the value of a quality."""
    if known(f"value-{name}-{said}"):
        return concept(f"value-{name}-{said}")
    if said in ("present", "absent"):
        return concept(f"value-{said}")
    return _own(said or "not-stated")


def _own(name: str) -> CodedConcept:
    """Return a name as a code of ours; a code value has 16 characters at most."""
    code = name
    if len(name) > CODE_CHARS:
        code = f"{name[: CODE_CHARS - 5]}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"
    return CodedConcept(code, OWN, name.replace("-", " ").capitalize()[:64])


def scheme_item() -> Dataset:
    """Return the Coding Scheme Identification item of our own scheme (PS3.3 C.12.1.4.1)."""
    item = Dataset()
    item.CodingSchemeDesignator = OWN
    item.CodingSchemeName = "dxmesh: names of findings, measures and qualities"
    item.CodingSchemeResponsibleOrganization = "dxmesh"
    return item
