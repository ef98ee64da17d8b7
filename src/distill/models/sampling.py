"""Drawing tokens from logits, so that a seed decides its sound alone.

A seed decides its sound alone. How a product of matrices is summed up depends on how many rows it has, on the processor
and on its threads, so the logits of one and the same sound differ in their last bits from batch to batch; one draw in a
hundred thousand falls where that matters, and from there on the sound would be another. So a draw that the rounding of the
logits leaves open is made again from logits of that row alone in float64, as geometric predicates do (Shewchuk, 1997).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

ROUNDING = 3e-7
"""How far rounding may shift logits, as a share of their range. Of float32, as measured with trained priors."""
EXACT_ROUNDING = 1e-12
"""The same of float64."""
LEAST_TEMPERATURE = 1e-3
"""Below this the likeliest code is taken, as at 0."""
HIGHEST_POINT = 1.0 - 1e-12
"""Further up than a sum of float64 chances reaches for sure, nothing is looked for: what has no chance is never drawn."""


class Drawing(Protocol):
    """What tokens are drawn by; as the fields of `GenerationSettings` of these names."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def min_p(self) -> float: ...


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


def chances(logits: Tensor, settings: Drawing, gain: float = 1.0) -> Chances:
    """Logits [B, V] -> the distribution that temperature, then top-k, min-p (Nguyen et al., 2024) and top-p make of them.

    Args:
        gain: how much more than the range of the logits their rounding has grown.
    """
    lowest, highest = (each.item() for each in logits[:, :-1].aminmax())  # EOS, the last, is often ruled out
    if lowest == -math.inf:
        lowest = logits[logits.isfinite()].min().item()
    shift = (ROUNDING if logits.dtype == torch.float32 else EXACT_ROUNDING) * (highest - lowest) * gain
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


def probabilities(logits: Tensor, settings: Drawing) -> Tensor:
    """Logits [B, V] -> the distribution [B, V] that is drawn from (float64)."""
    return chances(logits, settings).each


def uniform(generators: Sequence[torch.Generator], count: int) -> Tensor:
    """Numbers [B, count] in [0, 1), float64; each row from its own generator, the same one by one or all at once."""
    return torch.stack([torch.rand(count, generator=generator, dtype=torch.float64) for generator in generators])


class Drawn(NamedTuple):
    """One token for each row."""

    tokens: Tensor  # [B]
    open: Tensor | None  # [B], whether it might be another one, were the logits rounded otherwise; None: none might


def draw(logits: Tensor, settings: Drawing, points: Points, gain: float = 1.0) -> Drawn:
    """One token for each row of logits [B, V] by inverting its distribution at `points` [B, 3]."""
    each, shift, left_open = chances(logits.cpu(), settings, gain)  # in float64, which not every device has
    around = torch.add(points.around, points.slope, alpha=shift).clamp_max_(HIGHEST_POINT)
    tokens, under, over = torch.searchsorted(each.cumsum(-1), around, right=True).unbind(1)
    if not torch.equal(under, over):
        left_open = under != over if left_open is None else left_open | (under != over)
    return Drawn(tokens, left_open)
