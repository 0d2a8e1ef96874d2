"""Figures of the fracture model, with bootstrap intervals over groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.imaging.fractures.detect import PARTS, Seen
from training.fractures import boxes
from training.fractures.data import Ints, Radiographs
from training.nodules import figures

SEED, DRAWS = 7, 500
BINS = 8
FAINT = 0.02

Bools = npt.NDArray[np.bool_]
Figure = dict[str, float]


@dataclass(frozen=True)
class Scored:
    """What the exported model says of one part's radiographs."""

    radiographs: Radiographs
    rows: Ints
    group: Ints
    """(rows,)."""
    seen: list[Seen]

    @property
    def fractured(self) -> Ints:
        """Labels, (rows,)."""
        return self.radiographs.column("fractured")[self.rows]

    @property
    def probability(self) -> npt.NDArray[np.float64]:
        """The model's probability of a fracture, (rows,)."""
        return np.array([said.probability for said in self.seen])

    def matched(self, limit: float = boxes.MATCH) -> list[tuple[npt.NDArray[np.float64], Bools]]:
        """Return each image's box scores and which hit a fracture."""
        return boxes.matches(
            [said.boxes.astype(np.float32) for said in self.seen],
            [said.scores for said in self.seen],
            [self.radiographs.boxes[row] for row in self.rows],
            limit,
        )

    def fractures(self) -> Ints:
        """Return how many fractures each image has, (rows,)."""
        return np.array([len(self.radiographs.boxes[row]) for row in self.rows])


def redrawn(value: Callable[[Ints], float | None], group: Ints) -> Figure:
    """Return a figure of chosen rows with its 95% interval; groups are drawn again."""
    generator = np.random.default_rng(SEED)
    members = [np.flatnonzero(group == which) for which in np.unique(group)]
    drawn = []
    for _ in range(DRAWS):
        chosen = generator.integers(0, len(members), len(members))
        got = value(np.concatenate([members[which] for which in chosen]))
        if got is not None:
            drawn.append(got)
    low, high = np.quantile(drawn, [0.025, 0.975])
    whole = value(np.arange(len(group)))
    assert whole is not None
    return {
        "value": round(whole, 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def auc(scored: Scored, chosen: Bools | None = None) -> Figure | None:
    """Return the image AUC; of chosen rows alone where given, None when one class is missing."""
    rows = np.arange(len(scored.rows)) if chosen is None else np.flatnonzero(chosen)
    labels, chances = scored.fractured[rows], scored.probability[rows]
    if labels.sum() < 5 or (1 - labels).sum() < 5:
        return None
    return figures.interval(figures.auc, labels, chances, scored.group[rows], SEED)


def map50(scored: Scored, chosen: Bools, limit: float = boxes.MATCH) -> Figure:
    """Return mAP of the boxes on chosen images, at an overlap of one half unless told."""
    rows = np.flatnonzero(chosen)
    matched, count = scored.matched(limit), scored.fractures()

    def value(which: Ints) -> float:
        picked = rows[which]
        return boxes.average_precision([matched[k] for k in picked], int(count[picked].sum()))

    return redrawn(value, scored.group[rows])


def at_points(scored: Scored, image: float, box: float) -> dict[str, Figure]:
    """Return sensitivity and false alarms at the operating points."""
    labels, positive = scored.fractured, scored.probability >= image
    matched, count = scored.matched(), scored.fractures()
    hits = np.array([int((hit & (scores >= box)).sum()) for scores, hit in matched])
    false = np.array([int((~hit & (scores >= box)).sum()) for scores, hit in matched])

    def share(of: Bools, among: Bools) -> Callable[[Ints], float | None]:
        def value(rows: Ints) -> float | None:
            inside = among[rows]
            return float(of[rows][inside].mean()) if inside.any() else None

        return value

    broken = labels == 1
    return {
        "sensitivity_images": redrawn(share(positive, broken), scored.group),
        "specificity_images": redrawn(share(~positive, ~broken), scored.group),
        "sensitivity_boxes": redrawn(
            lambda rows: float(hits[rows].sum() / max(count[rows].sum(), 1)), scored.group
        ),
        "false_boxes_per_image": redrawn(lambda rows: float(false[rows].mean()), scored.group),
        "false_boxes_per_image_without_fracture": redrawn(
            lambda rows: float(false[rows][~broken[rows]].mean()), scored.group
        ),
    }


def subgroups(scored: Scored) -> dict[str, dict[str, object]]:
    """Return image AUC and mAP50 by body part, hardware, view and size of the fracture."""
    flags = {
        name: scored.radiographs.column(name)[scored.rows] == 1
        for name in (*PARTS, "hardware", "multiscan", "frontal", "lateral", "oblique")
    }
    flags["no hardware"] = ~flags["hardware"]
    flags["one exposure"] = ~flags["multiscan"]
    original = scored.radiographs.original[scored.rows].max(axis=1) > 1000
    flags["large original"], flags["small original"] = original, ~original
    count = scored.fractures() > 0
    result: dict[str, dict[str, object]] = {}
    for name, chosen in flags.items():
        part: dict[str, object] = {
            "images": int(chosen.sum()),
            "fractured": int(scored.fractured[chosen].sum()),
        }
        area = auc(scored, chosen)
        part["auc"] = area or "fewer than five images of one kind"
        if (chosen & count).sum() >= 10:
            part["map50_fractured_images"] = map50(scored, chosen & count)
        result[name] = part
    return result


def by_size(scored: Scored, box: float) -> dict[str, dict[str, float]]:
    """Return the share of fractures found at the operating point, by the box's longer side."""
    found: dict[str, list[bool]] = {"under 20": [], "20 to 40": [], "over 40": []}
    for row, said in zip(scored.rows, scored.seen, strict=True):
        good = said.boxes[said.scores >= box].astype(np.float32)
        for wanted in scored.radiographs.boxes[row]:
            side = float((wanted[2:] - wanted[:2]).max())
            name = "under 20" if side < 20 else "20 to 40" if side < 40 else "over 40"
            shared = boxes.ious(wanted[None], good) if len(good) else np.zeros((1, 0))
            found[name].append(bool((shared >= boxes.MATCH).any()))
    return {
        f"{name} pixels of 448": {"fractures": len(hits), "found": round(float(np.mean(hits)), 3)}
        for name, hits in found.items()
        if hits
    }


def calibration(scored: Scored) -> dict[str, object]:
    """Return the curve (equal numbers in each bin) and the expected calibration error."""
    labels, chances = scored.fractured, scored.probability
    bins = np.array_split(np.argsort(chances, kind="stable"), BINS)
    curve = [
        {
            "images": len(rows),
            "said": round(float(chances[rows].mean()), 3),
            "true": round(float(labels[rows].mean()), 3),
        }
        for rows in bins
    ]
    error = sum(len(r) * abs(chances[r].mean() - labels[r].mean()) for r in bins) / len(labels)
    return {
        "curve": curve,
        "expected_calibration_error": round(float(error), 4),
        "brier": round(figures.brier(labels, chances), 4),
    }


def all_of(scored: Scored, points: Mapping[str, float]) -> dict[str, object]:
    """Return every figure of one part."""
    count = scored.fractures() > 0
    metal = scored.radiographs.column("hardware")[scored.rows]
    shown = np.stack([scored.radiographs.column(p)[scored.rows] for p in PARTS], 1)
    said = np.array([[seen.parts[p] for p in PARTS] for seen in scored.seen])
    right = shown[np.arange(len(said)), said.argmax(axis=1)] == 1
    return {
        "images": len(scored.rows),
        "fractured": int(scored.fractured.sum()),
        "auc": auc(scored),
        "map50_fractured_images": map50(scored, count),
        "map30_fractured_images": map50(scored, count, 0.3),
        "map50_all_images": map50(scored, np.ones(len(count), bool)),
        "hardware_auc": figures.interval(
            figures.auc, metal, np.array([s.hardware for s in scored.seen]), scored.group, SEED
        ),
        "body_part_right": redrawn(lambda rows: float(right[rows].mean()), scored.group),
        "at_operating_points": at_points(scored, points["image"], points["box"]),
        "calibration": calibration(scored),
        "by_size": by_size(scored, points["box"]),
        "subgroups": subgroups(scored),
    }
