"""Drawing new codes from the prior, token by token, with a key-value cache.

A seed decides its sound alone. How a product of matrices is summed up depends on how many rows it has, on the processor
and on its threads, so the logits of one and the same sound differ in their last bits from batch to batch; one draw in a
hundred thousand falls where that matters, and from there on the sound would be another. So a draw that the rounding of the
logits leaves open is made again from logits of that row alone in float64, as geometric predicates do (Shewchuk, 1997).
"""

import math
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.models.prior import BOS, MID, CodePrior, Continuation
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings

PLAIN = GenerationSettings()
ROUNDING = 3e-7
"""How far rounding may shift logits, as a share of their range. Of float32, as measured with trained priors."""
EXACT_ROUNDING = 1e-12
"""The same of float64."""
LEAST_TEMPERATURE = 1e-3
"""Below this the likeliest code is taken, as at 0."""
HIGHEST_POINT = 1.0 - 1e-12
"""Further up than a sum of float64 chances reaches for sure, nothing is looked for: what has no chance is never drawn."""


def clip_generator(seed: int) -> torch.Generator:
    """The source of everything random in one clip, whatever else is in the batch; close seeds give unlike streams."""
    mixed = ((seed + 1) * 0x9E3779B97F4A7C15) & (2**63 - 1)
    return torch.Generator().manual_seed(mixed ^ (mixed >> 31))


class Points(NamedTuple):
    """Where distributions are inverted, and what their rounding makes of that."""

    around: Tensor  # [..., B, 3]: the points in [0, 1), and the same a hair under and over them
    slope: Tensor  # [..., B, 3]: how far these two go where logits are shifted by 1, some down and some up

    @classmethod
    def of(cls, points: Tensor) -> "Points":
        """Points [..., B] in float64. Where the odds of a cumulative probability p change by a factor of e^d, it moves
        by d * p * (1 - p)."""
        ways = points.new_tensor([0.0, -1.0, 1.0])
        return cls(points[..., None] + 1e-15 * ways, (2.0 * points * (1.0 - points))[..., None] * ways)


class Chances(NamedTuple):
    """What is drawn from."""

    each: Tensor  # [B, V], float64
    shift: float
    """How far rounding may have shifted any of the logits, in units of the temperature."""
    open: Tensor | None  # [B], whether that may leave out other codes than these; None where none are left out


def chances(logits: Tensor, settings: GenerationSettings) -> Chances:
    """Logits [B, V] -> the distribution that temperature, then top-k, min-p (Nguyen et al., 2024) and top-p make of them."""
    lowest, highest = (each.item() for each in logits[:, :-1].aminmax())  # EOS, the last, is often ruled out
    if lowest == -math.inf:
        lowest = logits[logits.isfinite()].min().item()
    shift = (ROUNDING if logits.dtype == torch.float32 else EXACT_ROUNDING) * (highest - lowest)
    if settings.temperature < LEAST_TEMPERATURE:
        best = logits.topk(2, dim=-1)
        each = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
        return Chances(each, shift, best.values[:, 0] - best.values[:, 1] <= 2.0 * shift)
    shift = shift / settings.temperature
    if settings.temperature != 1.0:
        logits = logits.double() / settings.temperature
    left_open: Tensor | None = None
    if 0 < settings.top_k < logits.shape[-1]:
        best = logits.topk(settings.top_k + 1, dim=-1)
        left_open = best.values[:, -2] - best.values[:, -1] <= 2.0 * shift
        logits = logits.masked_fill(logits < best.values[:, -2:-1], float("-inf"))
    if settings.min_p > 0.0:
        over = logits.double() - logits.amax(-1, keepdim=True).double() - math.log(settings.min_p)
        unclear = (over.abs() <= 2.0 * shift).any(-1)
        left_open = unclear if left_open is None else left_open | unclear
        logits = logits.masked_fill(over < 0.0, float("-inf"))
    each = logits.softmax(-1, dtype=torch.float64)
    if settings.top_p < 1.0:
        ranked, order = each.sort(dim=-1, descending=True, stable=True)
        before = ranked.cumsum(-1) - ranked
        inside = before < settings.top_p
        by_rank = logits.gather(-1, order)
        gap = by_rank.where(inside, torch.inf).amin(-1) - by_rank.where(~inside, -torch.inf).amax(-1)
        near = (before - settings.top_p).abs() <= 1e-15 + 2.0 * shift * before * (1.0 - before)
        unclear = (gap <= 2.0 * shift) | near.any(-1)
        left_open = unclear if left_open is None else left_open | unclear
        kept = torch.zeros_like(each).scatter(-1, order, ranked * inside)
        each = kept / kept.sum(-1, keepdim=True)
    return Chances(each, shift, left_open)


def probabilities(logits: Tensor, settings: GenerationSettings) -> Tensor:
    """Logits [B, V] -> the distribution [B, V] that is drawn from (float64)."""
    return chances(logits, settings).each


def uniform(generators: Sequence[torch.Generator], count: int) -> Tensor:
    """Numbers [B, count] in [0, 1), float64; each row from its own generator, the same one by one or all at once."""
    return torch.stack([torch.rand(count, generator=generator, dtype=torch.float64) for generator in generators])


class Drawn(NamedTuple):
    """One token for each row."""

    tokens: Tensor  # [B]
    open: Tensor | None  # [B], whether it might be another one, were the logits rounded otherwise; None: none might


def draw(logits: Tensor, settings: GenerationSettings, points: Points) -> Drawn:
    """One token for each row of logits [B, V] by inverting its distribution at `points` [B, 3]."""
    each, shift, left_open = chances(logits.cpu(), settings)  # in float64, which not every device has
    around = torch.add(points.around, points.slope, alpha=shift).clamp_max_(HIGHEST_POINT)
    tokens, under, over = torch.searchsorted(each.cumsum(-1), around, right=True).unbind(1)
    if not torch.equal(under, over):
        left_open = under != over if left_open is None else left_open | (under != over)
    return Drawn(tokens, left_open)


@torch.inference_mode()
def sample_codes(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    max_columns: int | Sequence[int],
    settings: GenerationSettings = PLAIN,
    may_end: bool = True,
    stepper: Stepper | None = None,
    may_end_at_limit: bool = False,
) -> Generator[list[Tensor], None, list[bool]]:
    """Draw one sequence of codes for each generator.

    Windows longer than the prior's context slide on by columns: the newest columns are read again as the beginning
    of a new window.

    Args:
        max_columns: where every sequence ends at the latest, or where each does; from there on nothing is taken from
            its generator.
        may_end: let a sequence end by EOS; without, EOS is never drawn.
        stepper: one made before for this prior, where many batches are drawn; without, a new one.
        may_end_at_limit: where all have one limit, ask those that reach it whether they are over just there.

    Yields:
        After every column, the sequences so far: for each generator codes [S, Q] (int64, on the prior's device).

    Returns:
        For each, whether it has ended by EOS.
    """
    config = prior.config
    prior.eval()
    bands, device = config.bands, prior.vectors.device
    window = config.seq_len // bands
    batch = len(generators)
    limits = [max_columns] * batch if isinstance(max_columns, int) else list(max_columns)
    codes = torch.zeros((batch, max(limits) * bands, config.rvq_levels), dtype=torch.long, device=device)
    length = torch.tensor(limits, device=device)  # in columns
    stepper = stepper or Stepper(prior, batch)
    state = prior.begin(torch.full((batch,), BOS, device=device), codes[:, :0])
    for column in range(max(limits)):
        going_on = length > column
        if not bool(going_on.any()):
            break
        if state.length == config.seq_len:
            kept = max(1, window * 2 // 3) if window > 1 else 0
            prefix = codes[:, (column - kept) * bands : column * bands]
            state = prior.begin(torch.full((batch,), MID, device=device), prefix)
        points = _points_of_column(generators, going_on, bands * config.rvq_levels)
        for band in range(bands):
            levels = stepper.step(state)
            logits = next(levels)
            for level in range(config.rvq_levels):
                begins = band == level == 0
                if begins and (not may_end or column == 0):
                    logits[:, prior.eos] = float("-inf")
                drawn = _decided(stepper, state, level, logits, settings, next(points), going_on)
                if begins:
                    ended = drawn == prior.eos
                    length = torch.where(ended, length.clamp(max=column), length)
                    if bool((length <= column).all()):
                        return _ended(length, limits)
                    drawn = drawn.masked_fill(ended, 0)
                logits = levels.send(drawn)
        codes[:, column * bands : (column + 1) * bands] = state.codes[:, state.length - bands : state.length]
        ends = length.clamp(max=column + 1).tolist()
        yield [row[: end * bands].clone() for row, end in zip(codes, ends, strict=True)]
    going_on = length == max(limits)
    if may_end_at_limit and state.length and bool(going_on.any()):
        logits = next(stepper.step(state))
        (point,) = _points_of_column(generators, going_on, 1)
        over = _decided(stepper, state, 0, logits, settings, point, going_on) == prior.eos
        length = length - (over & going_on).long()
    return _ended(length, limits)


def _ended(length: Tensor, limits: Sequence[int]) -> list[bool]:
    return [end < limit for end, limit in zip(length.tolist(), limits, strict=True)]


def _decided(
    stepper: Stepper,
    state: Continuation,
    level: int,
    logits: Tensor,
    settings: GenerationSettings,
    points: Points,
    going_on: Tensor,
) -> Tensor:
    """Tokens [B] from logits [B, V]; those that their rounding leaves open, from exact ones."""
    tokens, left_open = draw(logits, settings, points)
    if left_open is not None and _any(left_open):
        for row in (left_open & going_on.cpu()).nonzero()[:, 0].tolist():
            own = Points(points.around[row : row + 1], points.slope[row : row + 1])
            mine = logits[row : row + 1].cpu()
            if _any(draw(mine, settings, own).open):  # by the range of this row's logits alone
                exact = stepper.exact.logits(state, row, level).where(mine.isfinite(), -torch.inf)
                tokens[row] = draw(exact, settings, own).tokens[0]
    return tokens.to(logits.device)


def _any(truths: Tensor | None) -> bool:
    return truths is not None and bool(truths.any())


def _points_of_column(generators: Sequence[torch.Generator], going_on: Tensor, count: int) -> Iterator[Points]:
    """`count` times a point for each row; a row that has ended takes none, so that what its generator gives next
    depends on it alone."""
    points = torch.zeros(len(generators), count, dtype=torch.float64)
    rows = going_on.nonzero()[:, 0].tolist()
    points[rows] = uniform([generators[row] for row in rows], count)
    return map(Points, *Points.of(points.T.contiguous()))
