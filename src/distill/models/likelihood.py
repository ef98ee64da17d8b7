"""How likely codes are to a prior that hears them in the order of time."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from distill.models.prior import BOS, MID, CodePrior


@torch.inference_mode()
def log_likelihood(prior: CodePrior, codes: Tensor, begins: bool = True) -> Tensor:
    """What the prior makes of each code, having heard those before it: codes [S, Q] -> nats [S, Q], on the CPU.

    Args:
        begins: whether a sound begins where the codes begin.

    Long sequences are heard in windows of which each knows the last two thirds of the one before. Stereo images that columns
    share are not judged, since where the codes come from does not say which columns share one: they count as 0.
    """
    prior.eval()
    codes, bands = codes.to(prior.vectors.device), prior.config.bands
    found = torch.zeros(codes.shape, device=codes.device)
    for first, new, last in _windows(len(codes) // bands, prior.window):
        part = codes[first * bands : last * bands]
        start = torch.tensor([BOS if begins and first == 0 else MID], device=codes.device)
        logits = prior(part[None], start)[0, : len(part)]  # [S', Q, V]
        likely = logits.log_softmax(-1).gather(-1, part[..., None])[..., 0]
        found[new * bands : last * bands] = likely[(new - first) * bands :]
    found[:, judged_levels(prior) :] = 0.0
    return found.cpu()


def judged_levels(prior: CodePrior) -> int:
    """How many of its levels are judged."""
    return prior.config.rvq_levels - (prior.config.image_columns > 1)


def bits_per_code(prior: CodePrior, codes: Tensor) -> float:
    """What a whole sound [S, Q] costs the prior, a code on average, of those that are judged."""
    return -float(log_likelihood(prior, codes)[:, : judged_levels(prior)].mean()) / math.log(2.0)


def _windows(columns: int, window: int) -> Iterator[tuple[int, int, int]]:
    """The first column heard, the first that counts, and the one after the last, of each window."""
    new = 0
    while new < columns:
        first = 0 if new == 0 else max(0, new - max(window * 2 // 3, window > 1))
        last = min(first + window, columns)
        yield first, new, last
        new = last
