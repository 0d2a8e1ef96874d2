"""Routing as data: which reading takes which series, and a reason with numbers for each no."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from dxmesh.event.v1.refusal_pb2 import Refusal
from dxmesh.imaging.v1 import imaging_findings_pb2 as pb

from services.imaging.routing import explain, rules
from services.imaging.routing.decide import REASONS, decide, nearest
from services.imaging.routing.known import NAMES, known
from services.imaging.routing.rules import READINGS, BadRouting
from services.imaging.series.facts import Facts
from services.imaging.series.radiograph import Radiograph
from services.imaging.series.sources import SlideFiles
from services.imaging.series.volume import Volume
from services.imaging.store import tenant_tables

pytestmark = pytest.mark.requirement("DX-IMG-96")

DEFAULT = explain.default_table()
HEADERS = rules.RuleBook(
    tuple(dataclasses.replace(rule, quality={}) for rule in rules.read(DEFAULT).rules)
)
"""The default without looks at the pixels."""
CHEST = Facts(modality="CT", body_part="CHEST", age_years=61.0, thickness_mm=2.5)
HEAD = Facts(modality="CT", body_part="HEAD", age_years=61.0, thickness_mm=5.0, contrast=False)
HAND = Facts(modality="DX", body_part="HAND", age_years=40.0)


def volume(
    slices: int = 40, spacing: tuple[float, float, float] = (2.5, 0.7, 0.7), **options: object
) -> Volume:
    affine = np.eye(4)
    affine[:3, 0] = (0, 0, spacing[0])
    affine[:3, 1] = (0, spacing[1], 0)
    affine[:3, 2] = (spacing[2], 0, 0)
    names = tuple(f"2.25.{number}" for number in range(slices))
    made = Volume(np.zeros((slices, 8, 8), np.int16), affine, names)
    return dataclasses.replace(made, **options)  # type: ignore[arg-type]


def radiograph(rows: int = 400, columns: int = 300, **options: object) -> Radiograph:
    return Radiograph(
        grey=np.zeros((rows, columns), np.float32),
        sop_uid="2.25.1",
        **options,  # type: ignore[arg-type]
    )


def read_by(facts: Facts, source: object, book: rules.RuleBook = HEADERS) -> dict[str, str]:
    """Return each reading's reason, "" where it takes the source."""
    choices = decide(facts, source, book, READINGS)  # type: ignore[arg-type]
    return {choice.reader: choice.refusal.reason if choice.refusal else "" for choice in choices}


def headers(table: str) -> rules.RuleBook:
    """Return the default with a tenant's table over it, without looks at the pixels."""
    book = rules.read(DEFAULT, table)
    return rules.RuleBook(tuple(dataclasses.replace(rule, quality={}) for rule in book.rules))


@pytest.mark.parametrize(
    ("facts", "source", "reader"),
    [
        (CHEST, volume(), "nodules"),
        (HEAD, volume(28, (5.0, 0.5, 0.5)), "haemorrhage"),
        (HAND, radiograph(), "fractures"),
        (Facts(modality="SM"), SlideFiles(paths=(Path("x"),)), "pathology"),
    ],
)
def test_each_kind_of_image_has_its_one_reading(facts: Facts, source: object, reader: str) -> None:
    found = read_by(facts, source)
    assert [name for name, reason in found.items() if not reason] == [reader]


def test_image_that_says_nothing_of_its_body_part_is_judged_by_its_pixels() -> None:
    found = read_by(dataclasses.replace(CHEST, body_part=""), volume())
    assert (found["nodules"], found["haemorrhage"]) == ("", "")


@pytest.mark.parametrize(
    ("facts", "source", "reader", "reason", "told"),
    [
        (
            dataclasses.replace(CHEST, age_years=9.0),
            volume(),
            "nodules",
            "CHILD",
            {"age_years": "9", "min": "18"},
        ),
        (
            dataclasses.replace(HEAD, age_years=0.0),
            volume(28, (5.0, 0.5, 0.5)),
            "haemorrhage",
            "CHILD",
            {"age_years": "0", "min": "16"},
        ),
        (
            CHEST,
            volume(spacing=(7.5, 0.7, 0.7)),
            "nodules",
            "SLICES_TOO_FAR_APART",
            {"spacing_mm": "7.5", "max": "5"},
        ),
        (CHEST, volume(5), "nodules", "TOO_FEW_SLICES", {"slices": "5", "min": "12"}),
        (CHEST, volume(even=False), "nodules", "UNEVEN_SLICE_SPACING", {"even": "False"}),
        (
            dataclasses.replace(HEAD, contrast=True),
            volume(28, (5.0, 0.5, 0.5)),
            "haemorrhage",
            "CONTRAST_GIVEN",
            {"contrast": "True"},
        ),
        (
            dataclasses.replace(HEAD, phase="ARTERIAL"),
            volume(28, (5.0, 0.5, 0.5)),
            "haemorrhage",
            "ANOTHER_CONTRAST_PHASE",
            {"phase": "ARTERIAL"},
        ),
        (
            dataclasses.replace(HEAD, kernel="H70h"),
            volume(28, (5.0, 0.5, 0.5)),
            "haemorrhage",
            "UNSUITABLE_KERNEL",
            {"kernel": "H70H"},
        ),
        (
            dataclasses.replace(CHEST, modality="MR"),
            volume(),
            "nodules",
            "ANOTHER_MODALITY",
            {"modality": "MR", "wanted": "CT"},
        ),
        (
            dataclasses.replace(CHEST, modality=""),
            volume(),
            "nodules",
            "ANOTHER_MODALITY",
            {"modality": "not stated", "wanted": "CT"},
        ),
        (
            dataclasses.replace(HAND, body_part="CHEST"),
            radiograph(),
            "fractures",
            "ANOTHER_BODY_PART",
            {"body_part": "CHEST"},
        ),
        (HAND, radiograph(100, 300), "fractures", "PICTURE_TOO_SMALL", {"rows": "100"}),
    ],
)
def test_no_has_a_reason_and_the_numbers(
    facts: Facts, source: object, reader: str, reason: str, told: dict[str, str]
) -> None:
    choices = decide(facts, source, rules.read(DEFAULT), READINGS)  # type: ignore[arg-type]
    (choice,) = [each for each in choices if each.reader == reader]
    assert choice.refusal is not None
    assert choice.refusal.reason == reason
    assert choice.refusal.message
    assert told.items() <= choice.refusal.facts.items()


def test_slices_that_do_not_cut_across_the_body_are_another_kind() -> None:
    coronal = volume()
    coronal.affine[:3, 0] = (0, 2.5, 0)
    coronal.affine[:3, 1] = (0, 0, 0.7)
    found = read_by(CHEST, coronal)
    assert found["nodules"] == found["haemorrhage"] == "ANOTHER_ORIENTATION"


def test_source_tells_its_own_where_an_archive_holds_several() -> None:
    said = known(dataclasses.replace(HAND, view="PA"), radiograph(body_part="wrist", rows=10))
    assert (said["body_part"], said["view"], said["source"]) == ("WRIST", "PA", "RADIOGRAPH")
    assert set(said) == NAMES


def test_reason_of_a_series_that_nobody_reads_is_that_of_the_nearest_reading() -> None:
    child = dataclasses.replace(HEAD, age_years=3.0)
    book = rules.read(explain.default_table())
    choices = decide(child, volume(28, (5.0, 0.5, 0.5)), book, READINGS)
    why = nearest(choices)
    assert why is not None
    assert why.reason == "CHILD"
    assert (
        nearest(decide(CHEST, volume(), rules.read("[rules.a]\nreader='nodules'"), READINGS))
        is None
    )


class TestTenant:
    """A tenant's table lies over the default, key by key."""

    def test_number_is_changed_alone(self) -> None:
        table = "[rules.nodules-chest-ct.needs]\nage_years = { min = 8 }\n"
        child = dataclasses.replace(CHEST, age_years=9.0)
        assert read_by(child, volume())["nodules"] == "CHILD"
        assert read_by(child, volume(), headers(table))["nodules"] == ""
        assert read_by(child, volume(5), headers(table))["nodules"] == "TOO_FEW_SLICES"

    def test_reading_is_switched_off(self) -> None:
        found = read_by(CHEST, volume(), headers("[rules.nodules-chest-ct]\nenabled = false\n"))
        assert found["nodules"] == "SWITCHED_OFF"

    def test_look_at_the_pixels_is_switched_off(self) -> None:
        table = "[rules.nodules-chest-ct.quality]\nmotion = false\n"
        (rule,) = rules.read(DEFAULT, table).of("nodules")
        assert set(rule.quality) == {"ct_numbers", "chest", "field_of_view"}

    def test_rule_of_its_own_is_added(self) -> None:
        table = (
            '[rules.our-spines]\nreader = "nodules"\n[rules.our-spines.takes]\nmodality = ["MR"]\n'
        )
        assert (
            read_by(dataclasses.replace(CHEST, modality="MR"), volume(), headers(table))["nodules"]
            == ""
        )

    def test_options_reach_the_reader(self) -> None:
        table = "[rules.nodules-chest-ct.options]\noperating_point = 0.7\n"
        (rule,) = rules.read(explain.default_table(), table).of("nodules")
        assert rule.options["operating_point"] == 0.7
        assert rule.options["window"] == [-600, 1500], "what is not named stays"

    def test_tables_are_files_named_by_tenant(self, tmp_path: Path) -> None:
        (tmp_path / "demo.toml").write_text("[rules.a]\nreader = 'nodules'\n")
        (tmp_path / "README.md").write_text("")
        assert list(tenant_tables(tmp_path)) == ["demo"]
        assert tenant_tables(None) == {}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("rules = ", "no TOML"),
        ("[rule.x]\nreader='nodules'", "no rule"),
        ("[rules.x]\n", "reader"),
        ("[rules.x]\nreader='knees'", "knees"),
        ("[rules.x]\nreader='nodules'\ntake={}", "take"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nweight={min=1}", "weight"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nage_years=['1']", "age_years"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nmodality={min=1}", "modality"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nage_years={min='old'}", "age_years"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nkernel={matches='('}", "kernel"),
        ("[rules.x]\nreader='nodules'\n[rules.x.needs]\nkernel={unknown='perhaps'}", "kernel"),
        ("[rules.x]\nreader='nodules'\n[rules.x.quality]\nmagic={a=1}", "magic"),
        ("[rules.x]\nreader='nodules'\n[rules.x.quality]\nchest={a=1}", "lung_share_min"),
        ("[rules.x]\nreader='nodules'\n[rules.x.quality]\nchest={lung_share_min='x'}", "number"),
        ("[rules.x]\nreader='nodules'\n[rules.x.quality]\nchest={}", "lung_share_min"),
    ],
)
def test_table_that_cannot_be_used_says_where(table: str, says: str) -> None:
    with pytest.raises(BadRouting, match=says):
        rules.read("", table)


def test_every_fact_that_can_say_no_has_its_reason() -> None:
    book = rules.read(explain.default_table())
    asked = {c.fact for rule in book.rules for c in (*rule.takes, *rule.needs) if not c.reason}
    assert asked <= set(REASONS)


def test_decisions_of_one_series_and_reading_are_one() -> None:
    no = pb.Decision(function=pb.FUNCTION_FRACTURES, series_instance_uid="1", read=False)
    no.refusal.CopyFrom(Refusal(reason="CHILD"))
    yes = pb.Decision(function=pb.FUNCTION_FRACTURES, series_instance_uid="1", read=True)
    other = pb.Decision(function=pb.FUNCTION_NODULES, series_instance_uid="1")
    assert explain.merged([no, other, yes]) == [yes, other]
    assert explain.merged([no, no]) == [no]
