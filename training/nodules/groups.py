"""Groups of crops that show one place: near-copies must not straddle the split.

The set holds the same nodule many times, shifted by some pixels or some slices further. Two
crops are one group when a 32x32 window of one, shifted by up to 9 pixels, agrees with the
centre of the other; two nodules also when the middle 26x26 pixels of one are found anywhere
in the other. Groups are the connected components. Crops of one patient that show different
places cannot be told apart from crops of two patients: the scan ids are lost.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from training.nodules.crops import SIDE, Grey

WINDOW = 32
SHIFT = (SIDE - WINDOW) // 2
BOX = 8
NEIGHBOURS = 6
STEP = 3
CORRELATION_MIN = 0.92
DIFFERENCE_MAX = 14.0
"""Grey levels, root mean square."""

MIDDLE = 26
NODULE_CORRELATION_MIN = 0.95
TRANSFORM = 64
"""Side of the Fourier transform: holds a crop; only shifts without wrap-around are read."""

Floats = npt.NDArray[np.float32]


def find(crops: Grey, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Return a group number for each crop."""
    centres = _windows(crops, SHIFT, SHIFT)
    tree = cKDTree(_descriptor(centres))
    edges = [_alike_nodules(crops, np.flatnonzero(labels == 1))]
    for row in range(0, 2 * SHIFT + 1, STEP):
        for column in range(0, 2 * SHIFT + 1, STEP):
            edges.append(_alike(tree, centres, _windows(crops, row, column)))
    pairs = np.concatenate(edges)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(crops),) * 2)
    _, group = connected_components(graph, directed=False)
    return np.asarray(group, np.int32)


def _windows(crops: Grey, row: int, column: int) -> Floats:
    return crops[:, row : row + WINDOW, column : column + WINDOW].astype(np.float32)


def _descriptor(windows: Floats) -> Floats:
    """Return box means, (n, 16)."""
    side = WINDOW // BOX
    boxes = windows.reshape(len(windows), side, BOX, side, BOX).mean(axis=(2, 4))
    return boxes.reshape(len(windows), -1)


def _alike(tree: cKDTree, centres: Floats, shifted: Floats) -> npt.NDArray[np.int64]:
    """Return pairs (crop whose window was shifted, crop whose centre it matches)."""
    radius = DIFFERENCE_MAX * (WINDOW // BOX)
    _, near = tree.query(_descriptor(shifted), k=NEIGHBOURS, distance_upper_bound=radius)
    one = np.repeat(np.arange(len(shifted)), NEIGHBOURS)
    two = near.ravel()
    keep = (two < len(centres)) & (two != one)
    one, two = one[keep], two[keep]
    a = shifted[one].reshape(-1, WINDOW * WINDOW)
    b = centres[two].reshape(-1, WINDOW * WINDOW)
    difference = np.sqrt(((a - b) ** 2).mean(axis=1))
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    correlation = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1) + 1e-6)
    same = (correlation >= CORRELATION_MIN) & (difference <= DIFFERENCE_MAX)
    return np.stack([one[same], two[same]], axis=1)


def _alike_nodules(crops: Grey, which: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return pairs of nodules where the middle of one is found anywhere in the other."""
    if not len(which):
        return np.empty((0, 2), np.int64)
    whole = crops[which].astype(np.float32)
    edge = (SIDE - MIDDLE) // 2
    middle = whole[:, edge : edge + MIDDLE, edge : edge + MIDDLE]
    middle = middle - middle.mean(axis=(1, 2), keepdims=True)
    middle /= np.sqrt((middle**2).sum(axis=(1, 2), keepdims=True)) + 1e-6
    spectra = np.fft.rfft2(whole, s=(TRANSFORM, TRANSFORM)).astype(np.complex64)
    spread = np.stack([_spread(crop) for crop in whole])
    places = SIDE - MIDDLE + 1
    pairs: list[npt.NDArray[np.int64]] = []
    for number, template in enumerate(middle):
        spectrum = np.conj(np.fft.rfft2(template, s=(TRANSFORM, TRANSFORM)))
        found = np.fft.irfft2(spectra * spectrum, s=(TRANSFORM, TRANSFORM))
        correlation = (found[:, :places, :places] / spread).reshape(len(which), -1).max(axis=1)
        same = np.flatnonzero(correlation >= NODULE_CORRELATION_MIN)
        pairs.append(np.stack([np.full(len(same), which[number]), which[same]], axis=1))
    return np.concatenate(pairs)


def _spread(crop: Floats) -> Floats:
    """Return the root of the summed squared deviation of every MIDDLE x MIDDLE window."""
    windows = np.lib.stride_tricks.sliding_window_view(crop, (MIDDLE, MIDDLE))
    return np.asarray(windows.std(axis=(2, 3)) * MIDDLE + 1e-6, np.float32)
