"""How well a prior predicts codes, and whether it overfits."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.compute.shares import share, summed
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.training.prior.windows import Window, make_batch
from distill.training.run import Validation

LN2 = math.log(2.0)
RESAMPLED = 400
"""How often files are drawn anew for an interval."""
VALIDATION_BATCH = 32
OVERFITTING_BITS = 0.1
"""Bits per code over the best epoch's that count as clearly worse."""


class Perplexities(NamedTuple):
    """How well the prior predicts a set of codes; EOS is left out, so that bits are bits per code."""

    loss: float  # nats per code, summed loss over summed codes
    per_level: tuple[float, ...]  # perplexity of each level
    by_file: Tensor  # [F, 2], float64: the summed loss of each sequence, and how many codes it has


def compute_perplexity(loss: float) -> float:
    """exp of a loss in nats per token; capped, so that a diverged run still prints a number."""
    return math.exp(min(loss, 20.0))


def overfitting_gap(validation: Validation) -> float:
    """Bits per code that held-out sounds cost more than known ones."""
    gap: float = (validation.score - validation.details["known_loss"]) / LN2
    return gap


def gap_interval(unseen: Tensor, known: Tensor) -> tuple[float, float]:
    """Where the overfitting gap lies with 95 %, were other files of the kind held out or known: bootstrap over files.

    Args:
        unseen, known: `Perplexities.by_file` [F, 2] of each.
    """
    rng = np.random.default_rng(0)

    def means(files: Tensor) -> npt.NDArray[np.float64]:
        sums = files.numpy()[rng.integers(len(files), size=(RESAMPLED, len(files)))].sum(1)
        return np.asarray(sums[:, 0] / sums[:, 1] / LN2)

    low, high = np.quantile(means(unseen) - means(known), [0.025, 0.975])
    return float(low), float(high)


def is_overfitting(validation: Validation, best: Validation) -> bool:
    """Whether, since the best epoch, known sounds got clearly better and held-out ones clearly worse."""
    known_better = validation.details["known_loss"] < best.details["known_loss"]
    return known_better and validation.score > best.score + OVERFITTING_BITS * LN2


@torch.no_grad()
def validate_prior_epoch(prior: CodePrior, sequences: Sequence[Tensor], device: torch.device) -> Perplexities:
    """Every code of every sequence predicted once, in windows laid end to end; accurate per token.

    Several processes each take a share of the windows and return the same figures.
    """
    prior.eval()
    settings = prior.config
    window = settings.seq_len // settings.bands
    windows = [
        (Window(codes, first, min(window, len(codes) // settings.bands - first), MID if first else BOS), number)
        for number, codes in enumerate(sequences)
        for first in range(0, len(codes) // settings.bands, window)
    ]
    windows = list(share(sorted(windows, key=lambda each: each[0].columns)))
    sums, counts = torch.zeros(settings.rvq_levels).double(), torch.zeros(settings.rvq_levels).double()
    by_file = torch.zeros(len(sequences), 2).double()
    for first in range(0, len(windows), VALIDATION_BATCH):
        some = windows[first : first + VALIDATION_BATCH]
        batch = make_batch([each for each, _ in some], settings)
        logits = prior(batch.codes.to(device), batch.start.to(device))[:, :-1]
        targets = batch.targets[:, :-1].to(device)
        targets = targets.masked_fill(targets == prior.eos, IGNORED)
        losses = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=IGNORED, reduction="none")
        lost = losses.view(len(some), -1, settings.rvq_levels).double().cpu().sum(1)
        counted = (targets != IGNORED).double().cpu().sum(1)
        sums += lost.sum(0)
        counts += counted.sum(0)
        files = torch.tensor([number for _, number in some])
        by_file.index_add_(0, files, torch.stack([lost.sum(1), counted.sum(1)], dim=1))
    sums, counts, by_file = (summed(each, device).cpu() for each in (sums, counts, by_file))
    per_level = tuple(compute_perplexity(float(loss)) for loss in sums / counts.clamp_min(1))
    return Perplexities(float(sums.sum() / counts.sum()), per_level, by_file)
