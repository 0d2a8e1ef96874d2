"""The head's own frame in a stack of slices: where its middle is, how it is turned, how large.

Works on windowed grey values alone (bone is what the window saturates), so a JPEG of a published
set and a clinical series in HU go the same way. Nothing here needs the size of a pixel: the frame
is scaled by the skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

ROWS, COLUMNS = 256, 224
"""Size of a slice in the head's frame, pixels."""

LENGTH, WIDTH_MAX = 226.0, 204.0
"""The largest skull is this long from front to back; a round one at most this wide, pixels."""

BONE = 0.96
"""Grey value from which a pixel counts as bone: the window's top, less what JPEG rings."""

SMALL = 128
"""Masks are made on slices reduced to about this many pixels."""

BRAIN_SHARE = 0.5
"""Slices whose skull is at least this share of the largest one's area fix the frame."""

OPEN_SHARE = 0.6
"""A skull that closes in less than this share of the head is open: the head's outline serves."""

SEEN_MAX = 9
"""Most slices the turn is searched on."""

PATCH = 72
TURN_MAX = 45
"""Degrees searched to either side."""

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """How slices are turned, moved and scaled into the head's frame."""

    turn_degrees: float
    """The head's midline leans by this much, clockwise in the image."""

    centers: Floats
    """(n, 2): row and column of the head's middle on each slice, pixels of the stored image."""

    scale: float
    """Pixels of the frame per pixel of the image."""

    skull_share: Floats
    """(n,): area inside the skull over the largest slice's; 0 where no skull is closed."""

    def matrix(self) -> Floats:
        """Return (2, 2): a step in the frame to a step in the image."""
        angle = np.deg2rad(self.turn_degrees)
        cosine, sine = np.cos(angle), np.sin(angle)
        return np.array([[cosine, sine], [-sine, cosine]]) / self.scale

    def to_image(self, places: Floats, number: int) -> Floats:
        """Return image rows and columns, (..., 2), of places in the frame on one slice."""
        middle = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
        return np.asarray((places - middle) @ self.matrix().T + self.centers[number])


def find(planes: Grey) -> Frame | None:
    """Return the frame of slices (n, rows, columns) in grey values 0 to 1; none without a skull."""
    factor = max(1, round(max(planes.shape[1:]) / SMALL))
    inside = np.stack([_inside_skull(plane, factor) for plane in planes])
    heads = np.stack([_head(plane, factor) for plane in planes])
    if inside.sum(axis=(1, 2)).max() < OPEN_SHARE * heads.sum(axis=(1, 2)).max():
        inside = heads  # sutures and fontanelles too wide to close: an infant
    areas = inside.sum(axis=(1, 2)).astype(np.float64)
    if areas.max() < 0.02 * inside[0].size:
        return None
    share = areas / np.sort(areas)[-min(3, len(areas)) :].mean()
    share = np.minimum(share, 1.0)
    brain = np.flatnonzero(share >= BRAIN_SHARE)
    centers = np.array([ndimage.center_of_mass(inside[i]) for i in brain])
    seen = brain[np.unique(np.linspace(0, len(brain) - 1, SEEN_MAX).round().astype(int))]
    at = dict(zip(brain.tolist(), centers, strict=True))
    patches = np.stack([_patch(planes[i], inside[i], at[int(i)], factor) for i in seen])
    turn = _turn(patches)
    aside = _aside(patches, turn) * factor * max(inside.shape[1:]) / PATCH
    line = _line(brain, centers * factor + (factor - 1) / 2, len(planes))
    angle = np.deg2rad(turn)
    line += float(np.median(aside)) * np.array([np.sin(angle), np.cos(angle)])
    return Frame(turn, line, _scale(inside, brain, areas, turn, factor), share)


def into(planes: npt.NDArray[np.float32], frame: Frame) -> Grey:
    """Return the slices in the head's frame, (n, ROWS, COLUMNS), by linear interpolation."""
    made = np.empty((len(planes), ROWS, COLUMNS), np.float32)
    middle = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
    matrix = frame.matrix()
    for number, plane in enumerate(planes):
        offset = frame.centers[number] - matrix @ middle
        smooth = plane
        if frame.scale < 0.75:  # shrinking: no aliasing
            smooth = ndimage.gaussian_filter(plane, 0.4 / frame.scale)
        ndimage.affine_transform(
            smooth, matrix, offset, output=made[number], order=1, mode="constant", cval=0.0
        )
    return made


def _inside_skull(plane: Grey, factor: int) -> Mask:
    """Return what the skull closes in, on the reduced grid; headrests and arcs are dropped."""
    rows, columns = (size // factor * factor for size in plane.shape)
    blocks = plane[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    bone = (blocks >= BONE).mean(axis=(1, 3)) >= 0.34
    closed = ndimage.binary_closing(np.pad(bone, 4), iterations=3)[4:-4, 4:-4] | bone
    filled = ndimage.binary_fill_holes(closed)
    opened = ndimage.binary_opening(filled, iterations=3)
    return _largest(opened)


def _head(plane: Grey, factor: int) -> Mask:
    """Return the head with its skin on the reduced grid."""
    rows, columns = (size // factor * factor for size in plane.shape)
    blocks = plane[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    tissue = ndimage.binary_opening(blocks.mean(axis=(1, 3)) > 0.1, iterations=4)
    return _largest(ndimage.binary_fill_holes(tissue))


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros(mask.shape, bool)
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(labels == int(np.argmax(sizes)) + 1)


def _patch(plane: Grey, inside: Mask, center: Floats, factor: int) -> Grey:
    """Return the skull's inside around its centre, (PATCH, PATCH): bone and contrast of brain."""
    rows, columns = (size // factor * factor for size in plane.shape)
    blocks = plane[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor)
    grey = np.where(inside, blocks.mean(axis=(1, 3)), 0.0)
    zoom = max(inside.shape) / PATCH
    offset = center - zoom * (PATCH - 1) / 2
    return np.asarray(
        ndimage.affine_transform(
            grey, [zoom, zoom], offset, output_shape=(PATCH, PATCH), order=1, cval=0.0
        ),
        np.float32,
    )


def _turned(patch: Grey, degrees: float) -> Grey:
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.full(2, (PATCH - 1) / 2)
    return np.asarray(ndimage.affine_transform(patch, matrix, middle - matrix @ middle, order=1))


def _likeness(one: Grey, other: Grey) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))


def _symmetry(patch: Grey, degrees: float) -> float:
    """Return the best likeness of a turned patch with its mirror, over small shifts aside."""
    turned = _turned(patch, degrees)
    mirror = turned[:, ::-1]
    return max(_likeness(turned, np.roll(mirror, shift, axis=1)) for shift in (-4, -2, 0, 2, 4))


def _turn(patches: Grey) -> float:
    """Return degrees by which the midline leans: where the slices are most like their mirror."""
    best = 0.0
    for step, reach in ((5.0, float(TURN_MAX)), (1.0, 4.0)):
        angles = best + np.arange(-reach, reach + step / 2, step)
        scores = [np.mean([_symmetry(patch, angle) for patch in patches]) for angle in angles]
        best = float(angles[int(np.argmax(scores))])
    return best


def _aside(patches: Grey, turn: float) -> Floats:
    """Return for each patch how far its mirror plane lies beside its centre, patch pixels."""
    found = []
    for patch in patches:
        turned = _turned(patch, turn)
        mirror = turned[:, ::-1]
        shifts = np.arange(-8, 9)
        scores = [_likeness(turned, np.roll(mirror, shift, axis=1)) for shift in shifts]
        found.append(shifts[int(np.argmax(scores))] / 2.0)
    return np.array(found)


def _line(brain: npt.NDArray[np.int64], centers: Floats, count: int) -> Floats:
    """Return a centre for every slice, (count, 2), on a straight line through the brain's."""
    if len(brain) < 3:
        return np.repeat(centers.mean(axis=0)[None], count, axis=0)
    fitted = np.empty((count, 2))
    for axis in range(2):
        kept = np.ones(len(brain), bool)
        for _ in range(2):
            slope, start = np.polyfit(brain[kept], centers[kept, axis], 1)
            away = np.abs(slope * brain + start - centers[:, axis])
            kept = away <= max(3.0 * float(np.median(away)), 2.0)
        fitted[:, axis] = slope * np.clip(np.arange(count), brain[0], brain[-1]) + start
    return fitted


def _scale(
    inside: Mask, brain: npt.NDArray[np.int64], areas: Floats, turn: float, factor: int
) -> float:
    """Return frame pixels per image pixel from the largest skulls' length and width."""
    angle = np.deg2rad(turn)
    lengths, widths = [], []
    for number in brain[np.argsort(-areas[brain])][:3]:
        places = np.argwhere(inside[number]).astype(np.float64)
        along = places @ np.array([np.cos(angle), -np.sin(angle)])
        across = places @ np.array([np.sin(angle), np.cos(angle)])
        lengths.append(float(np.ptp(along)) + 1.0)
        widths.append(float(np.ptp(across)) + 1.0)
    length, width = float(np.median(lengths)) * factor, float(np.median(widths)) * factor
    return min(LENGTH / length, WIDTH_MAX / width)
