"""The candidate model's own network: trained on the candidates alone, then folded.

Version 1.0.0 of the model was this network alone. About 460 s of one core.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.nodules.network import vary

SEED = 20261125
EPOCHS, BATCH, RATE = 24, 64, 3e-3
WIDTHS = (16, 32, 32, 64, 64, 96)
POOL_AFTER = (0, 2, 4)


class FirstNet(nn.Module):
    """Six convolutions; mean and maximum over what is left; one logit.

    Takes grey values / 255, (n, 1, 50, 50). `folded`: convolutions with a bias, without
    normalisation.
    """

    def __init__(self, folded: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for number, width in enumerate(WIDTHS):
            layers.append(nn.Conv2d(before, width, 3, padding=1, bias=folded))
            layers += [nn.ReLU()] if folded else [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            if number in POOL_AFTER:
                layers.append(nn.MaxPool2d(2))
            before = width
        self.features = nn.Sequential(*layers)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(2 * before, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """Return logits, (n,)."""
        return self.head(self.drop(self.pooled(crops))).squeeze(1)

    def pooled(self, crops: Tensor) -> Tensor:
        """Return means and maxima of the last maps, (n, 192)."""
        maps = self.features(crops)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def train(grey: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> FirstNet:
    """Return the network trained on candidates (n, 50, 50), folded."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    images = torch.from_numpy(grey).float().unsqueeze(1) / 255.0
    wanted = torch.from_numpy(labels).float()
    network = FirstNet()
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.2
    )
    for epoch in range(EPOCHS):
        network.train()
        began = time.perf_counter()
        order = torch.randperm(len(images), generator=generator)
        for at in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            logits = network(vary(images[rows], generator))
            loss = functional.binary_cross_entropy_with_logits(logits, wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"first: epoch {epoch + 1:2d} {time.perf_counter() - began:.0f} s", flush=True)
    return folded(network.eval())


def folded(network: FirstNet) -> FirstNet:
    """Return the same function with its normalisations folded into the convolutions."""
    made = FirstNet(folded=True)
    layers = list(network.features)
    targets = [layer for layer in made.features if isinstance(layer, nn.Conv2d)]
    sources = [number for number, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    for target, number in zip(targets, sources, strict=True):
        fused = nn.utils.fuse_conv_bn_eval(layers[number], layers[number + 1])
        target.load_state_dict(fused.state_dict())
    made.head.load_state_dict(network.head.state_dict())
    return made.eval()
