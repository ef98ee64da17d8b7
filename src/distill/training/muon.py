"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al., 2024).

On the codec it reaches in a third of the steps what AdamW reaches (docs/decisions/0016-muon.md). Of torch's own (2.9
and later) it differs in that it takes convolution kernels too, as matrices [out, in * height * width], and
orthogonalises all of one size at once: one by one, most are too small to keep a processor at work.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from distill.compute.device import multiplies_bfloat16

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, chosen by its authors for speed, not for an exact result."""
ITERATIONS = 5
NEGLIGIBLE = 1e-9
"""Entries of a matrix of norm 1 that come to nothing: an iteration makes them 3.4 times as large. Left in, their products are
denormal numbers, with which a processor takes up to fifty times as long."""


def orthogonalised(matrices: Tensor) -> Tensor:
    """The nearest matrices [..., R, C] whose singular values are about 1, by Newton-Schulz iteration.

    It needs few digits: bfloat16 where the hardware is faster with it.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.flatten(0, -3) if matrices.ndim > 2 else matrices[None]
    x = x.bfloat16() if multiplies_bfloat16(x.device) else x.float()
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = torch.where(x.abs() < NEGLIGIBLE, 0.0, x)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype).reshape(matrices.shape)


def _orthogonalised_together(matrices: Sequence[Tensor]) -> list[Tensor]:
    """`orthogonalised` of each [R_i, C_i], those of one size in one go, however they lie."""
    by_size: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, matrix in enumerate(matrices):
        rows, columns = matrix.shape
        by_size[min(rows, columns), max(rows, columns)].append(number)
    results = list(matrices)
    for (rows, _), numbers in by_size.items():
        lying = [matrices[n] if matrices[n].shape[0] == rows else matrices[n].T for n in numbers]
        for number, result in zip(numbers, orthogonalised(torch.stack(lying)), strict=True):
            results[number] = result if matrices[number].shape[0] == rows else result.T
    return results


class Muon(torch.optim.Optimizer):
    """For the inner matrices of a network; embeddings, norms and biases want AdamW.

    Args:
        params: parameters of two or more dimensions.
        lr: the size of a step; each applied matrix has a spectral norm of about this.
        momentum: how much of the last direction is kept (Nesterov's).
        weight_decay: pull to zero, times `lr`.
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step, after `closure` if there is one."""
        if closure is not None:
            with torch.enable_grad():
                closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            directions = _orthogonalised_together([self._sought(p, group["momentum"]) for p in parameters])
            for parameter, direction in zip(parameters, directions, strict=True):
                size = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.reshape(parameter.shape), alpha=-group["lr"] * size)

    def _sought(self, parameter: Tensor, momentum: float) -> Tensor:
        """The direction [R, C] to go, before it is orthogonalised; the momentum moves on."""
        assert parameter.grad is not None
        gradient = parameter.grad.flatten(1)
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum"], momentum)
