"""Traits as a share of what a corpus has: 0 its lowest, 1 its highest, 0.5 what half of it is below."""

import torch
from torch import Tensor

from distill.settings.geometry import QUANTILE_POINTS as POINTS


class Quantiles:
    """The quantile curve of one trait in a corpus."""

    def __init__(self, points: Tensor) -> None:
        """`points`: float32 [33], rising, as `of` made them and `points` gives them back; all NaN: the corpus has none."""
        self.points = points

    @staticmethod
    def of(values: Tensor) -> "Quantiles":
        """From all values of a corpus [...]; NaN does not count.

        Where nearly all are alike (one onset), give `values.unique()`: shares are then of the different values there are,
        and more than a tenth of them stand for the rare ones.
        """
        known = values.detach().double().cpu().flatten()
        known = known[known.isfinite()]
        if not len(known):
            return Quantiles(torch.full((POINTS,), torch.nan))
        ordered = known.sort().values  # not `quantile`, which takes 16 million values at most
        places = torch.linspace(0.0, len(ordered) - 1.0, POINTS, dtype=torch.float64)
        below = places.floor().long()
        above = (below + 1).clamp_max(len(ordered) - 1)
        return Quantiles(torch.lerp(ordered[below], ordered[above], places - below).float())

    @property
    def known(self) -> bool:
        """Whether the corpus has the trait at all."""
        return not bool(self.points.isnan().any())

    def to_share(self, values: Tensor) -> Tensor:
        """Values [...] -> the share of the corpus that is below each, 0 to 1; NaN stays NaN.

        Of a value that much of the corpus has, such as one onset: the middle of the shares it stands for.
        """
        points = self.points.to(values)
        plain = values.contiguous()
        first = torch.searchsorted(points, plain, right=False)  # [...], of the points that are not below
        last = torch.searchsorted(points, plain, right=True)  # of those that are above
        lower, upper = (first - 1).clamp(0, POINTS - 1), first.clamp_max(POINTS - 1)
        step = points[upper] - points[lower]
        inside = torch.where(step > 0, (plain - points[lower]) / step.clamp_min(1e-12), torch.zeros_like(step))
        between = lower + inside.clamp(0.0, 1.0)
        place = torch.where(last > first, (first + last - 1) / 2.0, between)
        share = place / (POINTS - 1)
        return torch.where(values.isnan() | ~points.isfinite().all(), torch.nan, share.to(values.dtype))

    def to_value(self, shares: Tensor) -> Tensor:
        """Shares [...], cut to 0 to 1 -> the values that so much of the corpus is below; NaN stays NaN."""
        places = shares.nan_to_num(0.0).clamp(0.0, 1.0) * (POINTS - 1)
        below = places.floor().long().clamp_max(POINTS - 2)
        points = self.points.to(shares)
        return torch.where(shares.isnan(), torch.nan, torch.lerp(points[below], points[below + 1], places - below))
