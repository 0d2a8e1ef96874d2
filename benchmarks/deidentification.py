"""De-identification beside dicognito and dicom-anonymizer, on pydicom's own test files.

Each file goes through the three tools in one run, in an order drawn anew for each file, from
bytes to bytes. Counted besides: original values of attributes listed in DICOM PS3.15 Table
E.1-1 that are still there, private elements, references that point nowhere any more, crashes.

Run: `python -m benchmarks.deidentification`; needs the extra `benchmark`.
"""

from __future__ import annotations

import io
import json
import random
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID_dictionary

from benchmarks.rounds import Verdict, ratio
from services.anonymization import dicom_identity, files, profile
from services.anonymization.pseudonyms import Pseudonyms
from services.kernel.crypto import KeyedHash

PACKAGES = ("pydicom", "dicognito", "dicom-anonymizer")
ROUNDS = 7
AIM_MIN = 1.0
Tool = Callable[[bytes], bytes]

OWN_NAME = "dxmesh"
KEPT_BY_OPTION = "characteristics"
"""Patient characteristics (age, sex, size, weight …) are kept on purpose, by option."""


@dataclass
class Score:
    """What one tool did over all files."""

    ms: list[list[float]] = field(default_factory=list)
    """Milliseconds by file and round, of the files that did not crash it."""
    survived: int = 0
    survived_files: int = 0
    private: int = 0
    broken: int = 0
    crashed: int = 0


def dxmesh_tool() -> Tool:
    """Return our tool: read, de-identify, write."""
    hasher = KeyedHash(b"benchmark-key-of-32-bytes-length")

    def run(content: bytes) -> bytes:
        dataset = files.read(content)
        known = dicom_identity.strings_of(dataset)
        profile.deidentify(dataset, Pseudonyms(hasher, "benchmark"), known)
        return files.write(dataset)

    return run


def dicognito_tool() -> Tool:
    """Return dicognito with its defaults."""
    from dicognito.anonymizer import Anonymizer

    anonymizer = Anonymizer(seed="benchmark")

    def run(content: bytes) -> bytes:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        anonymizer.anonymize(dataset)
        return _saved(dataset)

    return run


def dicom_anonymizer_tool() -> Tool:
    """Return dicom-anonymizer with its defaults."""
    from dicomanonymizer.simpledicomanonymizer import anonymize_dataset

    def run(content: bytes) -> bytes:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        anonymize_dataset(dataset, delete_private_tags=True)
        return _saved(dataset)

    return run


def _saved(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def sample_paths() -> list[Path]:
    """Return the files that travel inside pydicom and can be read; nothing is downloaded."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _readable(path)]


def _readable(path: Path) -> bool:
    """Whether pydicom can read every value of a file, meta information present or not."""
    try:
        dataset = pydicom.dcmread(path, force=True)
        known = any(tag.group in files.KNOWN_GROUPS for tag in dataset.keys())  # noqa: SIM118
        return len(list(dataset.iterall())) > 0 and (dataset.preamble is not None or known)
    except Exception:  # noqa: BLE001 - made to be broken: no tool is asked to read it
        return False


def listed() -> dict[int, str]:
    """Return the attributes of Table E.1-1 that must not keep their value: tag → name."""
    text = resources.files("services.anonymization").joinpath("ps315.json").read_text("utf-8")
    return {
        int(row["tag"], 16): row["name"]
        for row in json.loads(text)["attributes"]
        if "X" not in row["tag"] and row["tag"] != "PRIVATE" and row.get(KEPT_BY_OPTION) != "K"
    }


def elements(dataset: Dataset, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield every element with its path of tags and item numbers."""
    for element in dataset:
        here = (*path, int(element.tag))
        yield here, element
        if element.VR == "SQ":
            for number, item in enumerate(element.value or ()):
                yield from elements(item, (*here, number))


def _plain(value: object) -> str:
    return str(value).strip()


def judge(before: bytes, after: bytes, tags: dict[int, str], score: Score) -> dict[str, str]:
    """Count what survived; return the tool's mapping of instance UIDs in this file."""
    old = pydicom.dcmread(io.BytesIO(before), force=True)
    new = pydicom.dcmread(io.BytesIO(after), force=True)
    values = dict(elements(new)) | dict(elements(getattr(new, "file_meta", Dataset())))
    survived = 0
    mapping: dict[str, str] = {}
    for path, element in [*elements(old), *elements(getattr(old, "file_meta", Dataset()))]:
        kept = values.get(path)
        text = _plain(element.value)
        if element.VR == "UI" and kept is not None and path[-1] in tags:
            mapping.setdefault(text, _plain(kept.value))
            score.broken += mapping[text] != _plain(kept.value)
        if path[-1] not in tags or element.VR == "SQ" or not text or text in UID_dictionary:
            continue
        survived += kept is not None and _plain(kept.value) == text
    score.survived += survived
    score.survived_files += survived > 0
    score.private += sum(path[-1] >> 16 & 1 for path in values)
    return mapping


def measure(rounds: int = ROUNDS, seed: int = 1, files_max: int = 10_000) -> dict[str, Any]:
    """Return the figures by tool, as plain numbers."""
    tools = {
        OWN_NAME: dxmesh_tool(),
        "dicognito 0.19": dicognito_tool(),
        "dicom-anonymizer 2.1": dicom_anonymizer_tool(),
    }
    scores = {name: Score() for name in tools}
    mappings: dict[str, dict[str, str]] = {name: {} for name in tools}
    tags, order = listed(), random.Random(seed)
    paths = sample_paths()[:files_max]
    for path in paths:
        content = path.read_bytes()
        times: dict[str, list[float]] = {name: [] for name in tools}
        results: dict[str, bytes] = {}
        for _ in range(rounds):
            for name in order.sample(list(tools), len(tools)):
                start = time.perf_counter()
                try:
                    results[name] = tools[name](content)
                except Exception:  # noqa: BLE001 - a crash is one of the figures
                    results.pop(name, None)
                times[name].append((time.perf_counter() - start) * 1e3)
        for name, score in scores.items():
            _account(content, results.get(name), times[name], tags, score, mappings[name])
    return {"files": len(paths), "tools": {n: _figures(s) for n, s in scores.items()}}


def _account(
    before: bytes,
    after: bytes | None,
    times: list[float],
    tags: dict[int, str],
    score: Score,
    mapping: dict[str, str],
) -> None:
    if after is None:
        score.crashed += 1
        return
    score.ms.append(times)
    for old, new in judge(before, after, tags, score).items():
        score.broken += mapping.setdefault(old, new) != new


def _figures(score: Score) -> dict[str, Any]:
    medians = [statistics.median(times) for times in score.ms]
    return {
        "ms_median": round(statistics.median(medians), 2),
        "ms_mean": round(statistics.fmean(medians), 2),
        "ms_by_round": [statistics.median(times) for times in zip(*score.ms, strict=True)],
        "survived": score.survived,
        "survived_files": score.survived_files,
        "private": score.private,
        "broken": score.broken,
        "crashed": score.crashed,
    }


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as a Markdown table."""
    head = (
        "| tool | ms per file, median (mean) | listed values left | private left | broken "
        "references | crashes | time to ours |"
    )
    own = result["tools"][OWN_NAME]["ms_by_round"]
    lines = [f"{result['files']} files of pydicom.", "", head, "|---|---|---|---|---|---|---|"]
    for name, got in result["tools"].items():
        left = f"{got['survived']} in {got['survived_files']} files"
        lines.append(
            f"| {name} | {got['ms_median']} ({got['ms_mean']}) | {left} | {got['private']} "
            f"| {got['broken']} | {got['crashed']} | {ratio(got['ms_by_round'], own)} |"
        )
    return lines


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether we are at least as fast as the faster of the others."""
    own = result["tools"][OWN_NAME]["ms_by_round"]
    others = [
        ratio(got["ms_by_round"], own) for name, got in result["tools"].items() if name != OWN_NAME
    ]
    fastest = min(others, key=lambda each: each.median)
    return Verdict.at_least("time of the faster of the others to ours", AIM_MIN, fastest)


def main() -> dict[str, Any]:
    """Measure, print the table, return the figures."""
    warnings.simplefilter("ignore")
    result = measure()
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    main()
