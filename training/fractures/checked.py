"""The validation part while training goes on, where the network is trained."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.imaging.fractures import prepare
from services.imaging.series.radiograph import Radiograph
from training.fractures import boxes
from training.fractures.data import Floats, Ints, Radiographs
from training.fractures.network import corners

SUPPRESSED = 0.3
BOXES = 32
LIMITS = (0.3, 0.4, 0.5, 0.6)
AT_ONCE = 16


class Validation:
    """Radiographs as the service prepares them, enlarged to the canvas of training."""

    def __init__(
        self, radiographs: Radiographs, rows: Ints, canvas: tuple[int, int], device: str
    ) -> None:
        self._canvases = [
            prepare.prepare(
                Radiograph(grey=radiographs.images[row].astype(np.float32) / 255, sop_uid="")
            )
            for row in rows
        ]
        self._fractured = radiographs.column("fractured")[rows]
        self._truth = [radiographs.boxes[row] for row in rows]
        upright = np.array([one.tensor.shape[2] >= one.tensor.shape[3] for one in self._canvases])
        self._batches: list[tuple[Ints, Tensor]] = []
        for up in (True, False):
            which = np.flatnonzero(upright == up)
            for some in np.array_split(which, max(1, -(-len(which) // AT_ONCE))):
                if not len(some):
                    continue
                grey = np.concatenate([self._canvases[k].tensor for k in some])
                size = canvas if up else canvas[::-1]
                larger = functional.interpolate(torch.from_numpy(grey), size, mode="bilinear")
                self._batches.append((some, larger.to(device)))

    @torch.no_grad()
    def figures(self, network: nn.Module) -> dict[str, float]:
        """Return AUC, mAP on fractured images at each limit, and `all`: AUC and mean mAP."""
        probability = np.zeros(len(self._canvases))
        found: list[Floats] = [np.zeros((0, 4), np.float32)] * len(probability)
        scores = [np.zeros(0)] * len(probability)
        for rows, larger in self._batches:
            heat, reach, whole = network(larger)
            best, places = peaks(torch.sigmoid(heat), reach)
            logit = whole[:, 0] + torch.logit(best[:, 0].clamp(1e-4, 1 - 1e-4))
            scale = self._canvases[int(rows[0])].tensor.shape[2] / larger.shape[2]
            placed = (places * scale).cpu().double().numpy()
            chances = best.cpu().double().numpy()
            probability[rows] = logit.cpu().numpy()
            for at, row in enumerate(rows):
                several = self._canvases[row].to_image(placed[at]).astype(np.float32)
                kept = boxes.suppress(several, chances[at], SUPPRESSED)
                found[row], scores[row] = several[kept], chances[at][kept]
        broken = [row for row, truth in enumerate(self._truth) if len(truth)]
        count = sum(len(self._truth[row]) for row in broken)
        picked = [[one[row] for row in broken] for one in (found, scores, self._truth)]
        result = {"auc": round(_auc(self._fractured, probability), 4)}
        for limit in LIMITS:
            matched = boxes.matches(picked[0], picked[1], picked[2], limit)  # type: ignore[arg-type]
            result[f"map{limit}"] = round(boxes.average_precision(matched, count), 4)
        mean = float(np.mean([result[f"map{limit}"] for limit in LIMITS]))
        return result | {"mean": round(mean, 4), "all": round(result["auc"] + mean, 4)}


def peaks(heat: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Return the highest peaks' chance, (n, 32), and their boxes, (n, 32, 4)."""
    weight = functional.avg_pool2d(heat, 3, 1, 1)
    box = functional.avg_pool2d(heat * corners(reach), 3, 1, 1) / weight.clamp_min(1e-9)
    tops = heat * (heat == functional.max_pool2d(heat, 3, 1, 1))
    best, cell = tops.flatten(1).topk(BOXES, dim=1)
    return best, box.flatten(2).gather(2, cell[:, None].expand(-1, 4, -1)).transpose(1, 2)


def _auc(labels: Ints, scores: npt.NDArray[np.float64]) -> float:
    """Return the share of pairs in the right order."""
    positive, negative = scores[labels == 1], scores[labels == 0]
    apart = positive[:, None] - negative[None]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)
