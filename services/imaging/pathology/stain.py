"""Stains: optical density, haematoxylin and eosin, and making slides look alike.

Sources: Ruifrok and Johnston 2001 (colour deconvolution), Macenko et al. 2009 (a slide's own
stain colours from the angles of its densities), Reinhard et al. 2001 (mean and spread).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

TRANSPARENT = 0.06
"""Optical density (decimal) below which a pixel is glass."""

ANGLE_SHARE = 0.01
"""Share of the densities beyond the angle that is taken for a pure stain's."""

STRONGEST_SHARE = 0.99

REFERENCE_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]], np.float32)
"""Haematoxylin and eosin (Ruifrok and Johnston 2001), optical density of red, green, blue."""

REFERENCE_STRENGTH = np.array([0.85, 0.45], np.float32)
"""Near-maximum amount of each stain that slides are brought to."""

GAIN = (0.4, 2.5)
PIXELS_MIN = 500


@dataclass(frozen=True, slots=True)
class Stains:
    """What a slide's stains look like."""

    colours: Floats
    """(2, 3): optical density of haematoxylin and eosin, unit length."""

    strength: Floats
    """(2,): near-maximum amount of each."""


def density(pixels: Pixels) -> Floats:
    """Return optical density, -log10 of transmitted light; same shape."""
    return _DENSITY[pixels]


_DENSITY: Floats = -np.log10(np.maximum(np.arange(256), 1) / 255.0).astype(np.float32)


def stains_of(pixels: Pixels) -> Stains | None:
    """Return a slide's own stains from a sample of its tissue, (n, 3); None: too little.

    Source: Macenko et al. 2009. The two directions are the extreme angles of the densities
    in the plane of their two largest components.
    """
    optical = density(pixels.reshape(-1, 3))
    optical = optical[optical.mean(axis=1) > TRANSPARENT]
    if len(optical) < PIXELS_MIN:
        return None
    _, plane = np.linalg.eigh(np.cov(optical.T))
    plane = plane[:, [2, 1]]
    plane *= np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    along = optical @ plane
    angle = np.arctan2(along[:, 1], along[:, 0])
    low, high = np.quantile(angle, [ANGLE_SHARE, 1 - ANGLE_SHARE])
    pair = np.stack([plane @ [np.cos(at), np.sin(at)] for at in (low, high)])
    pair = np.maximum(pair, 0.0)
    pair /= np.linalg.norm(pair, axis=1, keepdims=True) + 1e-6
    # Haematoxylin lets less red through than eosin.
    if pair[0, 0] < pair[1, 0]:
        pair = pair[::-1]
    amounts = optical @ np.linalg.pinv(pair)
    strength = np.quantile(amounts, STRONGEST_SHARE, axis=0)
    return Stains(pair.astype(np.float32), np.maximum(strength, 0.05).astype(np.float32))


def normalised(pixels: Pixels, own: Stains) -> Pixels:
    """Return the picture with the reference's stains in place of its own (Macenko et al. 2009)."""
    gain = np.clip(REFERENCE_STRENGTH / own.strength, *GAIN)
    colours = REFERENCE_STAINS / np.linalg.norm(REFERENCE_STAINS, axis=1, keepdims=True)
    through = np.linalg.pinv(own.colours) @ (gain[:, None] * colours)
    moved = density(pixels).reshape(-1, 3) @ through.astype(np.float32)
    light = np.power(10.0, -np.clip(moved, 0.0, 3.0)) * 255.0
    return np.asarray(np.rint(light), np.uint8).reshape(pixels.shape)


def haematoxylin(pixels: Pixels) -> Floats:
    """Return the amount of haematoxylin by the reference's colours, (rows, columns)."""
    third = np.cross(REFERENCE_STAINS[0], REFERENCE_STAINS[1])
    basis = np.stack([*REFERENCE_STAINS, third / np.linalg.norm(third)])
    basis = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    column = np.linalg.inv(basis)[:, 0].astype(np.float32)
    return np.asarray(density(pixels) @ column, np.float32)
