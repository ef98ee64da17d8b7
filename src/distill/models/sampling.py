"""Drawing new codes from the prior, token by token, with a key-value cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distill.models.prior import BOS, MID, CodePrior
from distill.models.stepping import Stepper


@dataclass(frozen=True)
class SamplingOptions:
    """How adventurous the drawing is."""

    temperature: float = 1.0
    """Above 1 more surprising, below 1 safer; 0 always takes the likeliest code."""
    top_k: int = 0
    """Draw only from this many likeliest codes; 0: from all."""
    top_p: float = 1.0
    """Draw only from the likeliest codes that together have this probability."""


def clip_generator(seed: int) -> torch.Generator:
    """The source of everything random in one clip, whatever else is in the batch; close seeds give unlike streams."""
    mixed = ((seed + 1) * 0x9E3779B97F4A7C15) & (2**63 - 1)
    return torch.Generator().manual_seed(mixed ^ (mixed >> 31))


def probabilities(logits: Tensor, options: SamplingOptions) -> Tensor:
    """Logits [B, V] -> the distribution [B, V] that is drawn from (float64)."""
    logits = logits.double()
    if options.temperature <= 0.0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
    logits = logits / options.temperature
    if 0 < options.top_k < logits.shape[-1]:
        threshold = logits.topk(options.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    chances = logits.softmax(-1)
    if options.top_p < 1.0:
        ranked, order = chances.sort(dim=-1, descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        kept = torch.zeros_like(chances).scatter(-1, order, ranked * (before < options.top_p))
        chances = kept / kept.sum(-1, keepdim=True)
    return chances


def uniform(generators: Sequence[torch.Generator], count: int) -> Tensor:
    """Numbers [B, count] in [0, 1), float64; each row from its own generator, the same one by one or all at once."""
    return torch.stack([torch.rand(count, generator=generator, dtype=torch.float64) for generator in generators])


def draw(logits: Tensor, options: SamplingOptions, points: Tensor) -> Tensor:
    """One token [B] from logits [B, V] by inverting the distribution at `points` [B] in [0, 1)."""
    cumulative = probabilities(logits.cpu(), options).cumsum(-1)  # in float64, which not every device has
    total = cumulative[:, -1]
    below = torch.minimum(points * total, total.nextafter(total.new_zeros(())))  # what has no chance is never reached
    return torch.searchsorted(cumulative, below[:, None], right=True)[:, 0].to(logits.device)


@torch.inference_mode()
def sample_codes(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    max_columns: int,
    options: SamplingOptions = SamplingOptions(),
    may_end: bool = True,
    stepper: Stepper | None = None,
) -> Iterator[list[Tensor]]:
    """Draw one sequence of codes for each generator.

    Windows longer than the prior's context slide on by columns: the newest columns are read again as the beginning
    of a new window.

    Args:
        max_columns: where every sequence ends at the latest.
        may_end: let a sequence end by EOS; without, EOS is never drawn.
        stepper: one made before for this prior, where many batches are drawn; without, a new one.

    Yields:
        After every column, the sequences so far: for each generator codes [S, Q] (int64, on the prior's device).
    """
    config = prior.config
    prior.eval()
    bands, device = config.bands, prior.vectors.device
    window = config.seq_len // bands
    batch = len(generators)
    codes = torch.zeros((batch, max_columns * bands, config.rvq_levels), dtype=torch.long, device=device)
    length = torch.full((batch,), max_columns, device=device)  # in columns
    stepper = stepper or Stepper(prior, batch)
    state = prior.begin(torch.full((batch,), BOS, device=device), codes[:, :0])
    for column in range(max_columns):
        if state.length == config.seq_len:
            kept = max(1, window * 2 // 3) if window > 1 else 0
            prefix = codes[:, (column - kept) * bands : column * bands]
            state = prior.begin(torch.full((batch,), MID, device=device), prefix)
        points = _points_of_column(generators, length > column, bands * config.rvq_levels)
        for position in range(column * bands, (column + 1) * bands):
            levels = stepper.step(state)
            logits = next(levels)
            begins = position == column * bands
            if begins and (not may_end or column == 0):
                logits[:, prior.eos] = float("-inf")
            for level in range(config.rvq_levels):
                drawn = draw(logits, options, next(points))
                if begins and level == 0:
                    ended = drawn == prior.eos
                    length = torch.where(ended, length.clamp(max=column), length)
                    if bool((length <= column).all()):
                        return
                    drawn = drawn.masked_fill(ended, 0)
                codes[:, position, level] = drawn
                logits = levels.send(drawn)
        yield [row[: min(int(end), column + 1) * bands].clone() for row, end in zip(codes, length, strict=True)]


def _points_of_column(generators: Sequence[torch.Generator], going_on: Tensor, count: int) -> Iterator[Tensor]:
    """`count` times a number for each row [B]; a row that has ended takes none, so that what its generator gives next
    depends on it alone."""
    points = torch.zeros(len(generators), count, dtype=torch.float64)
    rows = going_on.nonzero()[:, 0].tolist()
    points[rows] = uniform([generators[row] for row in rows], count)
    return iter(points.T.contiguous().unbind(0))
