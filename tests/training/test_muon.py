"""Muon against the singular value decomposition."""

import pytest
import torch

from distill.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(32, 32), (32, 96), (96, 32)])
def test_the_direction_is_nearly_orthogonal(shape: tuple[int, int]) -> None:
    """The slow oracle: U V^T of the SVD; the iteration's singular values lie within 0.6 and 1.3."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(matrix)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    cosine = torch.nn.functional.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0)
    assert float(cosine) > 0.97


def test_it_descends_on_kernels_too() -> None:
    kernel = torch.nn.Parameter(torch.randn(32, 4, 3, 3, generator=torch.Generator().manual_seed(0)))
    goal = torch.zeros_like(kernel)
    optimizer = Muon([kernel], lr=0.1)
    before = float((kernel - goal).square().sum())
    for _ in range(40):
        optimizer.zero_grad()
        (kernel - goal).square().sum().backward()
        optimizer.step()
    assert float((kernel - goal).square().sum()) < 0.5 * before
