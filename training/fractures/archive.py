"""Packs what training on another machine needs into one folder: no test part, no packages.

    python -m training.fractures.archive --data FOLDER --archive FOLDER

`radiographs.*.npz` hold the JPEG files of the development and validation parts as they are, their
boxes and flags; `weights.npz` the weights to begin with, in half precision.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from training.fractures.data import FOLDER, Ints, Radiographs, read
from training.fractures.groups import split
from training.fractures.network import build

PIECES = 2
Weights = Mapping[str, npt.NDArray[np.float16]]


@dataclass(frozen=True)
class Held:
    """What an archive holds."""

    radiographs: Radiographs
    development: Ints
    validation: Ints
    weights: Weights


def start(
    weights: Weights, backbone: str, begun: str | None, network: nn.Module
) -> dict[str, Tensor]:
    """Return the state to begin with: ImageNet's, or that of an earlier run."""
    state = dict(network.state_dict())
    for prefix in filter(None, (backbone, begun)):
        for name, values in weights.items():
            if name.startswith(f"{prefix}:"):
                state[name.split(":")[1]] = torch.from_numpy(values.astype(np.float32))
    return state


def keep(network: nn.Module, path: Path) -> None:
    """Write a state in half precision."""
    torch.save({name: one.half().cpu() for name, one in network.state_dict().items()}, path)


def load(folder: Path) -> Held:
    """Return an archive."""
    pieces = [np.load(path) for path in sorted(folder.glob("radiographs.*.npz"))]
    held = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0].files}
    ends, counts = np.cumsum(held["size"]), np.cumsum(held["count"])
    files = [held["jpeg"][end - size : end] for end, size in zip(ends, held["size"], strict=True)]
    radiographs = Radiographs(
        names=[f"IMG{number:07d}.jpg" for number in held["number"]],
        images=[np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("L")) for file in files],
        boxes=np.split(held["boxes"], counts[:-1]),
        flags=held["flags"],
        original=np.zeros((len(files), 2), np.int64),
        official_valid=np.zeros(len(files), bool),
    )
    weights = np.load(folder / "weights.npz")
    return Held(
        radiographs,
        np.flatnonzero(held["validation"] == 0),
        np.flatnonzero(held["validation"] == 1),
        {name: weights[name] for name in weights.files},
    )


def pack(data: Path, folder: Path, shipped: Path | None) -> None:
    """Write the archive; `shipped`: weights of an earlier run to go on from."""
    folder.mkdir(parents=True, exist_ok=True)
    radiographs = read(data)
    parts = split(radiographs)
    with tarfile.open(data / FOLDER / "images.tar") as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    rows = np.sort(np.concatenate([parts.development, parts.validation]))
    for piece, some in enumerate(np.array_split(rows, PIECES)):
        jpegs = [np.frombuffer(content[radiographs.names[row]], np.uint8) for row in some]
        np.savez(
            folder / f"radiographs.{piece}.npz",
            jpeg=np.concatenate(jpegs),
            size=np.array([len(jpeg) for jpeg in jpegs]),
            number=np.array([int(radiographs.names[row][3:-4]) for row in some]),
            boxes=np.concatenate([radiographs.boxes[row] for row in some]),
            count=np.array([len(radiographs.boxes[row]) for row in some]),
            flags=radiographs.flags[some],
            validation=np.isin(some, parts.validation).astype(np.int64),
        )
    kept: dict[str, npt.NDArray[np.float16]] = {}
    for backbone in ("efficientnet-lite0", "efficientnet-lite2"):
        early, later = build(backbone)
        parts_of = (("early", early), ("later.fine", later.fine), ("later.middle", later.middle))
        for prefix, part in (*parts_of, ("later.late", later.late)):
            for name, values in part.state_dict().items():
                kept[f"{backbone}:{prefix}.{name}"] = values.numpy().astype(np.float16)
    if shipped is not None:
        for name, values in torch.load(shipped, map_location="cpu").items():
            kept[f"shipped:later.{name}"] = values.numpy().astype(np.float16)
    np.savez_compressed(folder / "weights.npz", **kept)  # type: ignore[arg-type]


def main() -> None:
    """Pack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--shipped", type=Path)
    arguments = parser.parse_args()
    pack(arguments.data, arguments.archive, arguments.shipped)


if __name__ == "__main__":
    main()
