"""k-means, which the codebooks start from."""

import math

import torch
from torch import Tensor

ITERATIONS = 30
SETTLED = 1e-4
"""It is done when the centres move by less than this share of the points' variance."""
PIECE = 4096
"""Points compared with all centres at a time."""


def k_means(points: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from greedy k-means++ -> centres [K, D], the number of each point's centre [N].

    Args:
        points: [N, D].
        count: of centres; K is smaller where there are fewer different points.
    """
    centres = _spread(points, count, generator)
    enough = SETTLED * float(points.var(0, correction=0).mean())
    for _ in range(ITERATIONS):
        squared, nearest = _nearest(points, centres)
        sizes = nearest.bincount(minlength=len(centres))
        moved = torch.zeros_like(centres).index_add_(0, nearest, points) / sizes.clamp_min(1)[:, None]
        empty = sizes == 0
        moved[empty] = points[squared.topk(int(empty.sum())).indices]  # the points that are worst off
        shift = float((moved - centres).square().sum())
        centres = moved
        if shift <= enough:
            break
    return centres, _nearest(points, centres)[1]


def _spread(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Points far from each other, [K, D]: each the best of a few drawn by their squared distance to those before it
    (Arthur & Vassilvitskii, 2007)."""
    tries = 2 + int(math.log(count))
    chosen = torch.randint(len(points), (1,), generator=generator)
    squared = (points - points[chosen]).square().sum(1)
    for _ in range(count - 1):
        if not squared.any():
            break
        tried = torch.multinomial(squared, tries, replacement=True, generator=generator)
        distances = torch.cdist(points[tried], points, compute_mode="donot_use_mm_for_euclid_dist")
        after = torch.minimum(squared, distances.square())  # [tries, N]
        best = int(after.sum(1).argmin())
        squared = after[best]
        chosen = torch.cat([chosen, tried[best : best + 1]])
    return points[chosen]


def _nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """[N, D], [K, D] -> squared distance of each point to the nearest centre [N], and which it is [N]."""
    lengths = centres.square().sum(1)
    pieces = [torch.addmm(lengths, piece, centres.T, alpha=-2.0).min(1) for piece in torch.split(points, PIECE)]
    return torch.cat([p.values for p in pieces]) + points.square().sum(1), torch.cat([p.indices for p in pieces])
