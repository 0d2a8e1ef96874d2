"""Made and mutated messages and CSV files against their readers: nothing crashes, hangs or is lost.

    python -m tests.ingest.results_fuzz [cases] [seed]

Half of the cases are whole: every result that was written must come back with its digits, or be
named among what was left out. The others are spoilt: they must become a valid submission or a
refusal with a reason whose answer can be built and holds nothing of the content. Anything else is
printed with its number, which with the seed makes it again.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.ingest import submission
from services.ingest.csv_results import convert as csv_convert
from services.ingest.csv_results import rows as csv_rows
from services.ingest.hl7v2 import batch, header
from services.ingest.hl7v2.acknowledgement import Told, build
from services.ingest.hl7v2.convert import Origin
from services.ingest.hl7v2.refusal import NotTaken
from services.ingest.hl7v2.site import Site
from services.ingest.limits import Defaults
from services.ingest.mllp.framing import Blocks, Garbage, framed
from services.kernel import fhir
from services.kernel.errors import MeshError
from tests.ingest.oru import NOW, OBR, PID, msh, names, read

HANG_S = 20
TYPES = ("NM", "SN", "ST", "TX", "FT", "CE", "CWE", "DT", "TS", "TM", "ED", "NR", "XX", "")
STATUSES = ("F", "C", "P", "X", "D", "W", "R", "I", "", "?")
BITS = ("|", "^", "~", "\\", "&", "\r", "\n", "\x00", "\x0b", "\x1c", '""', "\\X00\\", "\\.br\\")
TEXTS = (
    "阴性",
    "１２",
    "<0.01",
    "> 100",
    "1:80",
    "3.5~9.5",
    "٣",
    "🧪",
    "\u202eabc",
    "=1+1",
    "é",
    "A" * 300,
)
CHARSETS = (
    ("UNICODE UTF-8", "utf-8"),
    ("UNICODE UTF-8", "utf-8"),
    ("GB18030", "gb18030"),
    ("", "utf-8"),
    ("8859/1", "utf-8"),
)
CONTROLS = bytes({*range(32), 127} - {9, 10, 13})
NOT_KEPT = ("RESULT_WITHOUT_CODE", "RESULT_SUPERSEDED", "SEGMENT_NOT_READ", "NOT_A_SEGMENT", "MORE")
COLUMNS = (
    "病历号",
    "项目名称",
    "结果",
    "单位",
    "参考范围",
    "采样时间",
    "状态",
    "value",
    "patient id",
    "x",
)


@dataclass
class Found:
    """What came of it."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0


class Hang(BaseException):
    """A case took too long; no `except Exception` may swallow it."""


def run(cases: int, seed: int) -> Found:
    """Return what became of so many cases."""
    found = Found()
    kinds: Sequence[Callable[[random.Random], str]] = (whole, spoilt, table, stream)
    previous = signal.signal(signal.SIGALRM, _hang)
    try:
        for number in range(cases):
            dice, began = random.Random(f"{seed}/{number}"), time.perf_counter()
            kind = kinds[number % len(kinds)]
            signal.alarm(HANG_S)
            try:
                found.outcomes[f"{kind.__name__} {kind(dice)}"] += 1
            except (Exception, Hang):  # noqa: BLE001 - whatever it is, it is what is looked for
                found.failures.append(f"case {number} ({kind.__name__})\n{traceback.format_exc()}")
            finally:
                signal.alarm(0)
            found.cases += 1
            found.longest_s = max(found.longest_s, time.perf_counter() - began)
    finally:
        signal.signal(signal.SIGALRM, previous)
    return found


def whole(dice: random.Random) -> str:
    """Write a sound message; every number comes back with its digits and every result is told."""
    figures = [_figure(dice) for _ in range(dice.randint(1, 12))]
    lines = [
        f"OBX|{n}|NM|{1000 + n}-1^x^LN|{n}|{each}|mmol/L|3.5-9.5||||F"
        + "|||20261126090000" * (n % 2)
        for n, each in enumerate(figures, 1)
    ]
    made = read(_message(lines, msh(f"W{dice.random()}")))
    text = made.bundle.decode()
    for n, figure in enumerate(figures, 1):
        # As FHIR writes it: no plus sign, no leading zeros, a digit before the point.
        bare = figure.lstrip("+").removeprefix("-").lstrip("0") or "0"
        plain = ("-" if figure.startswith("-") else "") + ("0" + bare if bare[0] == "." else bare)
        assert f'"code":"{1000 + n}-1"' in text and f'"value":{plain.rstrip(".")}' in text, figure
    assert len(_checked(made.bundle, "Observation")) == len(figures)
    return "read"


def spoilt(dice: random.Random) -> str:
    """Write a message of anything, spoil its bytes, and read it as one and as a file of many."""
    stated, codec = dice.choice(CHARSETS)
    lines = [_segment(dice) for _ in range(dice.randint(0, 8))]
    content = bytearray(_message(lines, msh("S1", charset=stated)).encode(codec, "replace"))
    for _ in range(dice.choice((0, 0, 1, 2, 5))):
        _damage(content, dice)
    sent = bytes(content)
    outcome = "read"
    for each in batch.messages(sent).messages:
        outcome = _taken(each)
    head = header.of(sent)
    for verdict in "AER":
        answer = build(head, verdict, [], "1", NOW)
        assert b"\r\n" not in answer and answer.count(b"MSH") <= 2
    return outcome


def table(dice: random.Random) -> str:
    """Write a CSV file of anything, and read it."""
    delimiter = dice.choice(",;\t")
    header_row = list(COLUMNS[: dice.randint(3, 7)])
    if dice.random() < 0.2:
        header_row = dice.sample(COLUMNS, dice.randint(2, 7))
    dice.shuffle(header_row)
    lines = [header_row] + [
        [_cell(dice) for _ in range(len(header_row) + dice.choice((0, 0, 0, -1, 1)))]
        for _ in range(dice.randint(0, 8))
    ]
    text = "\r\n".join(delimiter.join(each) for each in lines)
    content = bytearray(
        text.encode(dice.choice(("utf-8", "utf-8-sig", "gb18030", "utf-16")), "replace")
    )
    for _ in range(dice.choice((0, 0, 1, 3))):
        _damage(content, dice)
    try:
        file = csv_rows.read(bytes(content))
        for rows in file.patients:
            origin = Origin(Site(), names, NOW, "", 5000)
            made = csv_convert.results(bytes(content), file, rows, origin)
            told = {each.source for each in made.problems}
            kept = len(_checked(made.bundle, "Observation"))
            assert kept + len(told) >= len(rows.numbered)
    except MeshError as error:
        return error.reason
    return "read"


def stream(dice: random.Random) -> str:
    """Cut framed messages anywhere; the blocks come back whole, whatever stood between them."""
    sent = [_message([_segment(dice)], msh(f"T{n}")).encode() for n in range(dice.randint(1, 4))]
    clean = [each.translate(None, b"\x0b\x1c") for each in sent]
    whole_stream = b"".join(dice.choice((b"", b"\r\n", b"\n")) + framed(each) for each in clean)
    found = asyncio.run(_blocks(whole_stream, dice))
    assert found == clean
    return "read"


async def _blocks(content: bytes, dice: random.Random) -> list[bytes]:
    reader = asyncio.StreamReader()
    blocks = Blocks(reader, 1 << 22, 5)
    at = 0
    while at < len(content):
        step = dice.randint(1, 400)
        reader.feed_data(content[at : at + step])
        at += step
    reader.feed_eof()
    found = []
    try:
        while (each := await blocks.next(5)) is not None:
            found.append(each)
    except Garbage:
        found.append(b"garbage")
    return found


def _taken(sent: bytes) -> str:
    """Read a message; it becomes a valid submission, or a refusal that can be answered."""
    try:
        made = read(sent)
    except NotTaken as error:
        head = header.of(sent)
        told = [Told(error.place, error.code, error.reason, error.message)]
        assert build(head, "R", told, "1", NOW) or head.accept_when or head.answer_when
        return error.reason
    submission.read(made.bundle, Defaults(recipient="us"), made)
    kept = len(_checked(made.bundle, "Observation"))
    plain = sent.translate(None, CONTROLS).replace(b"\n", b"\r")
    written = sum(line.startswith(b"OBX|") for line in plain.split(b"\r"))
    left_out = sum(each.count for each in made.problems if each.reason in NOT_KEPT)
    assert kept + left_out >= written, "a result was dropped in silence"
    return "read"


def _checked(bundle: bytes, kind: str) -> list[dict[str, Any]]:
    """Return the resources of a type; every one of the Bundle is valid FHIR."""
    entries = [each["resource"] for each in fhir.parse(bundle)["entry"]]
    for each in entries:
        problems = fhir.problems(each)
        assert problems == [], [(each["resourceType"], p.path) for p in problems]
    return [each for each in entries if each["resourceType"] == kind]


def _message(lines: Sequence[str], head: str) -> str:
    return "".join(f"{line}\r" for line in (head, PID, OBR, *lines))


def _figure(dice: random.Random) -> str:
    text = f"{dice.randint(0, 99999)}"
    if dice.random() < 0.6:
        text = f"{text[: dice.randint(0, len(text))]}.{dice.randint(0, 9999):0{dice.randint(1, 6)}}"
    return dice.choice(("", "", "-", "+")) + text


def _segment(dice: random.Random) -> str:
    kind = dice.choice(("OBX", "OBX", "OBX", "NTE", "SPM", "OBR", "ORC", "PV1", "ZZZ"))
    if kind != "OBX":
        return "|".join([kind, *(_cell(dice) for _ in range(dice.randint(0, 12)))])
    fields = [
        kind,
        "1",
        dice.choice(TYPES),
        f"{_cell(dice)}^{_cell(dice)}^L",
        _cell(dice),
        _cell(dice),
    ]
    fields += [
        _cell(dice),
        _cell(dice),
        _cell(dice),
        "",
        "",
        dice.choice(STATUSES),
        "",
        "",
        _cell(dice),
    ]
    return "|".join(fields)


def _cell(dice: random.Random) -> str:
    made = dice.choice((*TEXTS, _figure(dice), "20261126090000", "2026-11-26 09:00", "", ""))
    return made + dice.choice(BITS) if dice.random() < 0.15 else made


def _damage(content: bytearray, dice: random.Random) -> None:
    """Spoil some bytes: other ones, none, a copy, or what ends and begins things."""
    at = dice.randrange(len(content) + 1)
    match dice.randrange(4):
        case 0:
            content[at : at + 1] = dice.randbytes(1)
        case 1:
            del content[at : at + dice.randint(1, 40)]
        case 2:
            start = dice.randrange(len(content) + 1)
            content[at:at] = content[start : start + dice.randint(0, 200)]
        case _:
            content[at:at] = dice.choice(BITS).encode()


def _hang(_: int, __: Any) -> None:
    raise Hang


def main() -> int:
    """Run, print what was found, and return 1 when anything failed."""
    cases, seed = (int(each) for each in (*sys.argv[1:], *("10000", "1")[len(sys.argv) - 1 :]))
    found = run(cases, seed)
    counts = [f"{count:8} {outcome}" for outcome, count in sorted(found.outcomes.items())]
    last = f"{found.cases} cases, seed {seed}: {len(found.failures)} failed"
    longest = f"longest {found.longest_s:.2f} s"
    sys.stdout.write("\n".join((*found.failures[:20], *counts, f"{last}, {longest}\n")))
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
