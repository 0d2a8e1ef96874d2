"""Notes: how long a sentence takes beside medSpaCy, and whether memory grows with their number.

Both read the English sentences of `tests/nlp/data/context_en.tsv`, each as a note of its own, in
interleaved rounds; figures are processor time. medSpaCy 1.3.1 runs in an environment of its own
with its sentence splitter, matcher and ConText, and looks for the phrases that the set names.
Ours reads the note as the service does: sections, every table, context, summary. Memory is that
of one process (resident) while it reads 10,000 notes made of 12 sentences in both languages.

Run: `make bench BENCH_ARGS=notes`, which makes medSpaCy's environment.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.rounds import Verdict, interleaved, ratio, spread
from services.nlp.findings import findings
from services.nlp.notes import Note

ROOT = Path(__file__).parents[1]
SETS = ROOT / "tests" / "nlp" / "data"
PEER_PYTHON = ROOT / ".venv-medspacy" / "bin" / "python"
PACKAGES = ()
OURS, PEER = "dxmesh", "medSpaCy 1.3.1"
ROUNDS, NOTES, SENTENCES = 9, 10_000, 12
AIM_MAX: Final = 0.2
_PAGE = 4096


def rows_of(language: str) -> list[list[str]]:
    """Return the rows of a set of sentences: sentence, mention, expected."""
    lines = (SETS / f"context_{language}.tsv").read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")][1:]


class Peer:
    """medSpaCy in a process of its own."""

    def __init__(self, python: Path, phrases: list[str]) -> None:
        side = Path(__file__).with_name("medspacy_side.py")
        self._process = subprocess.Popen(
            [python, "-W", "ignore", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # PyRuSH writes every token there
            text=True,
        )
        self.ask(phrases)

    def ask(self, question: object) -> dict[str, Any]:
        """Return the answer to a line."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def ours_seconds(sentences: list[str]) -> float:
    """Return the processor time of reading each sentence as a note."""
    began = time.process_time()
    for sentence in sentences:
        findings([Note("note-1", "en", sentence)], "en")
    return time.process_time() - began


async def speed(python: Path, rounds: int) -> dict[str, Any]:
    """Return milliseconds per sentence of each side, by round."""
    rows = rows_of("en")
    sentences = sorted({row[0].replace("\\n", "\n") for row in rows})
    gc.collect()
    gc.freeze()  # as the service does
    peer = Peer(python, sorted({row[1] for row in rows}))
    counts = {"found": 0}

    async def ours() -> float:
        return ours_seconds(sentences) / len(sentences) * 1e3

    async def theirs() -> float:
        answer = peer.ask(sentences)
        counts["found"] = answer["found"]
        return float(answer["seconds"]) / len(sentences) * 1e3

    try:
        sides = {OURS: ours, PEER: theirs}
        await interleaved(sides, 1)  # what is built at the first use is no sentence's time
        figures = await interleaved(sides, rounds)
    finally:
        peer.close()
        gc.unfreeze()
    return {"sentences": len(sentences), "peer_found": counts["found"], "ms": figures}


def memory(notes: int) -> list[tuple[int, float]]:
    """Return resident MiB after every tenth of so many notes, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.notes", str(notes)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [(int(count), float(mib)) for count, mib in json.loads(done.stdout)]


def read_many(notes: int) -> Iterator[tuple[int, float]]:
    """Read so many notes and yield resident MiB after every tenth of them."""
    draw = random.Random(1)
    sentences = {each: [row[0] for row in rows_of(each)] for each in ("en", "zh")}
    for number in range(1, notes + 1):
        language = ("en", "zh")[number % 2]
        text = "\n".join(draw.choices(sentences[language], k=SENTENCES))
        findings([Note("note-1", language, text)], language)
        if number % max(notes // 10, 1) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            yield number, pages * _PAGE / 2**20


async def measure(
    rounds: int = ROUNDS, notes: int = NOTES, python: Path = PEER_PYTHON
) -> dict[str, Any]:
    """Return both sides' times, and the memory by the number of notes read."""
    return {**await speed(python, rounds), "memory": memory(notes)}


def rows(result: dict[str, Any]) -> list[str]:
    """Return the figures as Markdown tables."""
    figures = result["ms"]
    peer = figures[PEER]
    return [
        f"{result['sentences']} sentences.",
        "",
        "| side | ms a sentence | to medSpaCy |",
        "|---|---|---|",
        *(f"| {name} | {spread(ms)} | {ratio(ms, peer)} |" for name, ms in figures.items()),
        "",
        "| notes read | memory, MiB |",
        "|---|---|",
        *(f"| {count:,} | {mib:.0f} |" for count, mib in result["memory"]),
    ]


def verdict(result: dict[str, Any]) -> Verdict:
    """Return whether a sentence takes at most a fifth of medSpaCy's time."""
    measured = ratio(result["ms"][OURS], result["ms"][PEER])
    return Verdict.at_most("time a sentence to medSpaCy's", AIM_MAX, measured)


def main() -> dict[str, Any]:
    """Measure, print the tables, return the figures."""
    result = asyncio.run(measure())
    print("\n".join([*rows(result), "", str(verdict(result))]))
    return result


if __name__ == "__main__":
    print(json.dumps(list(read_many(int(sys.argv[1])))))
