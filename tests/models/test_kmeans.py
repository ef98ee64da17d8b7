"""k-means against scipy's, and on points with a known answer."""

import numpy as np
import torch
from scipy.cluster.vq import kmeans2

from distill.models.kmeans import k_means


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int, per_blob: int, spread: float) -> torch.Tensor:
    centres = torch.randn(count, 6, generator=seeded(1)) * 3
    return centres.repeat_interleave(per_blob, 0) + spread * torch.randn(count * per_blob, 6, generator=seeded(2))


def inertia(points: torch.Tensor, centres: torch.Tensor) -> float:
    return float(torch.cdist(points, centres).square().min(1).values.sum())


def test_clusters_that_are_there_are_found() -> None:
    """Guards against a start that puts two centres into one cluster and none into another."""
    points = blobs(40, 25, 0.01)
    for seed in range(5):
        centres, nearest = k_means(points, 40, seeded(seed))
        torch.testing.assert_close(centres[nearest[::25]], points.view(40, 25, 6).mean(1), atol=1e-3, rtol=0)
        assert (nearest.bincount(minlength=40) == 25).all()


def test_it_is_as_close_as_scipys() -> None:
    """Median of five starts; scipy's centres are drawn one at a time, ours are the best of a few: never worse."""
    points = blobs(30, 40, 1.5)
    ours = [inertia(points, k_means(points, 64, seeded(seed))[0]) for seed in range(5)]
    theirs = [
        inertia(points, torch.from_numpy(kmeans2(points.numpy(), 64, iter=30, minit="++", seed=seed)[0]))
        for seed in range(5)
    ]
    assert np.median(ours) < 1.01 * np.median(theirs)


def test_the_seed_decides_alone() -> None:
    """Guards against k-means that draws from torch's own generator."""
    points = blobs(10, 30, 1.0)
    first = k_means(points, 16, seeded(7))[0]
    torch.rand(3)
    assert torch.equal(k_means(points, 16, seeded(7))[0], first)
    assert not torch.equal(k_means(points, 16, seeded(8))[0], first)


def test_each_point_is_with_its_nearest_centre() -> None:
    """More points than are compared at a time."""
    points = torch.randn(9000, 3, generator=seeded(0))
    centres, nearest = k_means(points, 12, seeded(0))
    assert torch.equal(nearest, torch.cdist(points.double(), centres.double()).argmin(1))


def test_fewer_different_points_than_centres() -> None:
    """Guards against a crash, and against centres that are copies, where sounds are nearly silent."""
    points = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.01, 1.0], [2.0, 0.0]])
    centres, nearest = k_means(points, 8, seeded(0))
    assert sorted(centres.tolist()) == sorted(points.unique(dim=0).tolist())
    assert torch.equal(centres[nearest], points)
    assert k_means(points[:1].repeat(5, 1), 8, seeded(0))[0].tolist() == [[0.0, 1.0]]
