"""What is made once and kept in the work folder: groups, windows, extra crops, networks."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from training.nodules import candidates, crops, extra, groups, impressions, lidc
from training.nodules.extra import Extra
from training.nodules.first import FirstNet
from training.nodules.lidc import Patches, Slices, Window
from training.nodules.outline_network import OutlineNet
from training.nodules.split import Split, split

Ints = npt.NDArray[np.int64]
Network = TypeVar("Network", bound=torch.nn.Module)


class Work:
    """The data folder, and the folder that keeps what was made of it."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        folder.mkdir(parents=True, exist_ok=True)

    def candidates(self) -> tuple[crops.Grey, Ints, npt.NDArray[np.int32], Split]:
        """Return crops, labels, groups and parts."""
        grey, label = crops.read(self.data / "luna16_candidates50")
        kept = self.folder / "groups.npy"
        if not kept.is_file():
            np.save(kept, groups.find(grey, label))
        group = np.load(kept)
        return grey, label, group, split(label, group)

    def patches(self) -> Patches:
        """Return the LIDC patches alone."""
        return lidc.patches(self.data / "lidc_nodule_hu71")

    def features(self) -> npt.NDArray[np.float32]:
        """Return the features of every patch."""
        kept = self.folder / "features.npy"
        if not kept.is_file():
            np.save(kept, impressions.features(impressions.patches(self.patches())))
        return np.asarray(np.load(kept))

    def lidc(self) -> tuple[Patches, Slices, Window]:
        """Return patches, slices and the slices' windows."""
        known = lidc.patches(self.data / "lidc_nodule_hu71")
        shown = lidc.slices(self.data / "lidc_nodule_masks128")
        kept = self.folder / "windows.npz"
        if not kept.is_file():
            found = lidc.windows(shown, known)
            np.savez(kept, slope=found.slope, base=found.base, patch=found.patch, shift=found.shift)
        with np.load(kept) as stored:
            window = Window(stored["slope"], stored["base"], stored["patch"], stored["shift"])
        return known, shown, window

    def extra(self) -> Extra:
        """Return further crops of patients that no validation or test crop shows."""
        kept = self.folder / "extra.npz"
        if not kept.is_file():
            grey, label, _, parts = self.candidates()
            held = np.concatenate([parts.validation, parts.test])
            found = extra.gather(grey[held], label[held], *self.lidc())
            np.savez(kept, grey=found.grey, label=found.label, left_out=found.patients_left_out)
        with np.load(kept) as stored:
            return Extra(stored["grey"], stored["label"], int(stored["left_out"]))

    def has(self, name: str) -> bool:
        """Tell whether a network was kept."""
        return (self.folder / f"{name}.pt").is_file()

    def half_made(self, name: str) -> Path:
        """Return where a network lies while it is trained."""
        return self.folder / f"{name}.half"

    def keep(self, name: str, network: torch.nn.Module) -> None:
        """Keep a network."""
        torch.save(network.state_dict(), self.folder / f"{name}.pt")

    def outline(self) -> OutlineNet:
        """Return the outline network."""
        return self._load(OutlineNet(), "outline")

    def first(self) -> FirstNet:
        """Return the candidate model's own network."""
        return self._load(FirstNet(folded=True), "first")

    def candidate_features(self) -> npt.NDArray[np.float64]:
        """Return the features of all candidates, then of the further crops."""
        kept = self.folder / "candidate-features.npy"
        if not kept.is_file():
            grey, _, _, _ = self.candidates()
            every = np.concatenate([grey, self.extra().grey])
            np.save(kept, candidates.features(self.first(), every))
        return np.asarray(np.load(kept), np.float64)

    def _load(self, network: Network, name: str) -> Network:
        network.load_state_dict(torch.load(self.folder / f"{name}.pt"))
        network.eval()
        return network
