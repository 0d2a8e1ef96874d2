"""Trains the three networks of the nodule reading.

    python -m training.nodules.train --data FOLDER --work FOLDER [--step NAME]

FOLDER is the folder with `luna16_candidates50`, `lidc_nodule_hu71` and `lidc_nodule_masks128`.
Seeds are fixed. What was made before is found again in the work folder, so a run that was cut
off goes on; `evaluate` then exports the networks, measures them and writes their cards.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from training.nodules import first, impressions, outlines
from training.nodules.work import Work

STEPS = ("prepare", "outline", "impression", "candidates")


def prepare(work: Work) -> None:
    """Find groups of near-copies, the slices' windows, further crops."""
    work.candidates()
    work.extra()


def outline(work: Work) -> None:
    """Train the outline network on patients outside the test part."""
    if work.has("outline"):
        return
    known, shown, window = work.lidc()
    slices = outlines.drawn(known, shown, window)
    seen = ~np.isin(slices.patient, known.patient[impressions.folds(known.patient) < 0])
    work.keep("outline", outlines.train(slices.part(seen), work.half_made("outline")))


def impression(work: Work) -> None:
    """Find the features of every rated nodule; the fit itself takes seconds."""
    work.features()


def candidate(work: Work) -> None:
    """Train the candidate model's own network; find the features of all crops."""
    grey, label, _, parts = work.candidates()
    rows = parts.development
    if not work.has("first"):
        work.keep("first", first.train(grey[rows], label[rows]))
    work.candidate_features()


def main() -> None:
    """Do all steps, or one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--step", choices=STEPS, action="append")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = Work(arguments.data, arguments.work)
    makers = dict(zip(STEPS, (prepare, outline, impression, candidate), strict=True))
    for step in arguments.step or STEPS:
        began = time.process_time()
        makers[step](work)
        print(f"{step}: {time.process_time() - began:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
