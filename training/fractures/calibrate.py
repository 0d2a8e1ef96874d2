"""Fits what turns the network's numbers into probabilities, on the validation part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from services.imaging.fractures import detect, prepare
from services.imaging.series.radiograph import Radiograph
from training.fractures import boxes
from training.fractures.data import Ints, Radiographs
from training.fractures.network import WHOLE
from training.fractures.shipped import FAINTEST, Calibration, Shipped

SHRINK = 0.1
"""Share of the mean variance that is added to each direction."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Raw:
    """The network's numbers for some radiographs, boxes in image pixels."""

    peaks: list[Floats]
    boxes: list[Floats]
    whole: Floats
    late: Floats


def canvas(radiographs: Radiographs, row: int) -> prepare.Canvas:
    """Return a radiograph of the set as the service prepares it."""
    grey = radiographs.images[row].astype(np.float32) / np.float32(255)
    return prepare.prepare(Radiograph(grey=grey, sop_uid=""))


@torch.no_grad()
def raw(network: Shipped, radiographs: Radiographs, rows: Ints) -> Raw:
    """Return what the network says before calibration."""
    peaks, found, whole, late = [], [], [], []
    for row in rows:
        made = canvas(radiographs, int(row))
        best, several, logits, features = network.raw(torch.from_numpy(made.tensor))
        placed = made.to_image(several[0].double().numpy())
        kept = detect.suppress(placed, best[0].double().numpy())
        peaks.append(best[0].double().numpy()[kept])
        found.append(placed[kept])
        whole.append(logits[0].double().numpy())
        late.append(features[0].double().numpy())
    return Raw(peaks, found, np.stack(whole), np.stack(late))


def fit(said: Raw, usual: Raw, radiographs: Radiographs, rows: Ints) -> Calibration:
    """Return the calibration from what was said of validation rows and of usual images."""
    fractured = radiographs.column("fractured")[rows]
    first = np.stack([said.whole[:, 0], [_logit(peaks.max()) for peaks in said.peaks]], 1)
    metal = said.whole[:, WHOLE.index("hardware")][:, None]
    peak, hit = _candidates(said, radiographs, rows)
    result = Calibration(
        fractured=_tensor(logistic(first, fractured)),
        box=_tensor(logistic(peak, hit)),
        hardware=_tensor(logistic(metal, radiographs.column("hardware")[rows])),
        usual=_tensor(usual.late.mean(axis=0)),
    )
    covariance = np.cov(usual.late.T)
    covariance += SHRINK * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    whiten = np.linalg.cholesky(np.linalg.inv(covariance))
    far = np.linalg.norm((said.late - usual.late.mean(axis=0)) @ whiten, axis=1)
    result.spread = _tensor(whiten / np.quantile(far, 0.99))
    return result


def _candidates(said: Raw, radiographs: Radiographs, rows: Ints) -> tuple[Floats, Ints]:
    """Return peak's logit of every box, (k, 1), and whether it hits a fracture."""
    truth = [radiographs.boxes[row] for row in rows]
    columns, hits = [], []
    for which, peaks in enumerate(said.peaks):
        _, hit = boxes.matches([said.boxes[which]], [peaks], [truth[which]])[0]
        peaks = np.sort(peaks)[::-1]
        clear = peaks > 0.01
        columns.append(_logit(peaks[clear])[:, None])
        hits.append(hit[clear])
    return np.concatenate(columns), np.concatenate(hits).astype(np.int64)


def _logit(chance: Floats) -> Floats:
    clear = np.clip(chance, FAINTEST, 1 - FAINTEST)
    return np.asarray(np.log(clear / (1 - clear)))


def logistic(x: Floats, labels: Ints, penalty: float = 1e-3) -> Floats:
    """Return weights and shift of the least cross-entropy, (columns + 1,)."""
    values = torch.from_numpy(np.concatenate([x, np.ones((len(x), 1))], 1))
    wanted = torch.from_numpy(labels).double()
    weights = torch.zeros(values.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = functional.binary_cross_entropy_with_logits(values @ weights, wanted)
        value = value + penalty * weights[:-1].square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weights.detach().numpy()


def _tensor(values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))
