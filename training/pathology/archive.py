"""Packs what training on another machine needs into one file: no test part, no packages."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from training.pathology import groups, nuclei, sets, vary
from training.pathology import network as networks

SHADES = 36
"""Depth is kept in eight steps of this, at half the size."""


def pack(data: Path, work: Path, path: Path) -> None:
    """Write the archive; `work` holds the depth targets, and the state of a CPU run if any."""
    tiles = sets.nuinsseg(data)
    parts = groups.split(tiles.pixels, tiles.number)
    rows = parts.development
    stain = vary.stains(
        np.concatenate([tiles.pixels[rows][:, :224, :224], sets.lc25000(data).pixels])
    )
    files = dict(sets.files(data / "nuinsseg"))
    held: dict[str, Any] = {"stain_mean": stain.mean.numpy(), "stain_spread": stain.spread.numpy()}
    depth = nuclei.depths(work, tiles.instances)
    for name, some in (("development", rows), ("validation", parts.validation)):
        jpegs = [np.frombuffer(files[int(tiles.number[row])], np.uint8) for row in some]
        held[f"{name}.jpeg"] = np.concatenate(jpegs)
        held[f"{name}.size"] = np.array([len(jpeg) for jpeg in jpegs])
        held[f"{name}.mask"] = np.packbits(tiles.instances[some] > 0, axis=-1)
    half = depth[rows].reshape(len(rows), 256, 2, 256, 2).mean((2, 4))
    shades = (half / SHADES).round().astype(np.uint8)
    held["depth"] = np.frombuffer(lzma.compress(shades.tobytes(), preset=1), np.uint8)
    encoder = networks.Encoder(networks.LITE2)
    encoder.fold(networks.pretrained(wide=True))
    for key, one in encoder.state_dict().items():
        held[f"weight:lite2:encoder.{key}"] = one.numpy().astype(np.float16)
    begun = work / "nuclei.pt"
    if begun.is_file():
        for key, one in torch.load(begun, weights_only=True)["mean"].items():
            half = one.half() if one.dim() == 4 else one
            held[f"weight:begun:{key}"] = half.numpy()
    np.savez_compressed(path, **held)


def load(path: Path) -> dict[str, Any]:
    """Return what the archive holds, as arrays."""
    file = np.load(path)
    held: dict[str, Any] = {"weights": {}}
    for name in file.files:
        if name.startswith("weight:"):
            values = torch.from_numpy(file[name])
            held["weights"][name[7:]] = values.float() if values.is_floating_point() else values
    for part in ("development", "validation"):
        sizes, jpeg = file[f"{part}.size"], file[f"{part}.jpeg"]
        pictures = [
            Image.open(io.BytesIO(jpeg[end - size : end].tobytes())).convert("RGB")
            for end, size in zip(np.cumsum(sizes), sizes, strict=True)
        ]
        mask = np.unpackbits(file[f"{part}.mask"], axis=-1) * np.uint8(255)
        held[part] = {"pixels": np.stack([np.asarray(one) for one in pictures]), "mask": mask}
    depth = np.frombuffer(lzma.decompress(file["depth"].tobytes()), np.uint8)
    depth = depth.reshape(-1, 256, 256).repeat(2, 1).repeat(2, 2)
    held["development"]["depth"] = depth * np.uint8(SHADES)
    held["development"] |= {name: file[name] for name in ("stain_mean", "stain_spread")}
    return held
