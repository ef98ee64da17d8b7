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
    before = float((kernel.detach() - goal).square().sum())
    for _ in range(40):
        optimizer.zero_grad()
        (kernel - goal).square().sum().backward()
        optimizer.step()
    assert float((kernel.detach() - goal).square().sum()) < 0.5 * before


@pytest.mark.parametrize("steps", [1, 3])
def test_matrices_of_one_size_go_together_as_they_would_alone(steps: int) -> None:
    """Guards against a batch that mixes its matrices up, or turns one that lies over: each alone is the slow oracle."""
    random = torch.Generator().manual_seed(steps)
    shapes = [(32, 48), (48, 32), (32, 48), (32, 32), (32, 16, 1, 3), (32, 32)]
    together = [torch.nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]
    alone = [parameter.detach().clone() for parameter in together]
    momenta = [torch.zeros_like(matrix.flatten(1)) for matrix in alone]
    optimizer = Muon(together, lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(steps):
        for parameter, matrix, momentum in zip(together, alone, momenta, strict=True):
            parameter.grad = torch.randn(parameter.shape, generator=random)
            gradient = parameter.grad.flatten(1)
            momentum.mul_(0.9).add_(gradient, alpha=0.1)
            direction = orthogonalised(0.1 * gradient + 0.9 * momentum)
            size = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
            matrix.mul_(1.0 - 0.1 * 0.01).sub_(0.1 * size * direction.view_as(matrix))
        optimizer.step()
    for parameter, matrix in zip(together, alone, strict=True):
        assert torch.allclose(parameter, matrix, atol=5e-3)


def test_what_is_negligible_is_left_out() -> None:
    """Guards against products of numbers that are nearly nothing, as momenta of units that have died are after a thousand
    steps: they are denormal, and made the steps of a long training five times as long."""
    matrix = torch.randn(24, 48, generator=torch.Generator().manual_seed(0))
    matrix[:5] *= 1e-22
    without = matrix.clone()
    without[:5] = 0.0
    assert torch.equal(orthogonalised(matrix), orthogonalised(without))
    assert float(orthogonalised(matrix)[5:].norm()) > 3.0
    assert float(orthogonalised(1e-4 * matrix[5:]).norm()) > 3.0  # small as a whole is not negligible
