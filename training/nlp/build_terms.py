"""Derives services/nlp/data/hpo.tsv from the HPO's Chinese labels and a word list.

Kept are the HPO terms whose official Chinese label is itself a word that Chinese medical text
uses (a THUOCL medical word): the rest are descriptions no physician writes. Labels that name
several terms are dropped, because the text cannot tell which is meant.

Run: python training/nlp/build_terms.py --hpo hp-zh.tsv --words thuocl_medical.txt
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "services" / "nlp" / "data" / "hpo.tsv"
HEADER = """\
# Common phenotypes: Human Phenotype Ontology, code with English and official Chinese label.
# This table uses the Human Phenotype Ontology (Koehler et al., Nucleic Acids Res 2021, 49:D1207),
# http://www.human-phenotype-ontology.org; labels are unchanged. The Chinese labels are the HPO's
# own translation profile hp-zh (translation_status OFFICIAL), SHA-256 of the file:
# {digest}
# Chosen by THUOCL medical words (Tsinghua University, http://thuocl.thunlp.org, MIT licence).
# Made by training/nlp/build_terms.py; do not edit.
code	en	zh
"""


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a tab-separated file with a header; `#` lines are comments."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line[:1] != "#"]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def build(hpo: Path, words: Path) -> str:
    """Return the table as text."""
    spoken = {line.split("\t")[0].strip() for line in words.read_text("utf-8").splitlines()}
    excluded = {row["code"] for row in read(HERE / "hpo_excluded.tsv")}
    kept = [
        row
        for row in read(hpo)
        if row["translation_value"] in spoken
        and row["translation_status"] == "OFFICIAL"
        and row["subject_id"] not in excluded
    ]
    shared = Counter(row["translation_value"] for row in kept)
    lines = [
        "\t".join((row["subject_id"], row["source_value"], row["translation_value"]))
        for row in kept
        if shared[row["translation_value"]] == 1
    ]
    digest = hashlib.sha256(hpo.read_bytes()).hexdigest()
    return HEADER.format(digest=digest) + "\n".join(lines) + "\n"


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hpo", type=Path, required=True, help="hp-zh.tsv of the HPO")
    parser.add_argument("--words", type=Path, required=True, help="THUOCL medical words")
    arguments = parser.parse_args()
    TARGET.write_text(build(arguments.hpo, arguments.words), "utf-8")


if __name__ == "__main__":
    main()
