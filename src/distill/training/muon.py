"""Muon: momentum whose matrices are orthogonalised before they are applied (Jordan et al., 2024).

On the codec it reaches in a third of the steps what AdamW reaches (docs/decisions.md). Of torch's own (2.9 and later) it
differs in that it takes convolution kernels too, as matrices [out, in * height * width].
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor

from distill.device import training_precision

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration, chosen by its authors for speed, not for an exact result."""
ITERATIONS = 5


@lru_cache(maxsize=4)
def _native_bfloat16(device_type: str) -> bool:
    return training_precision(torch.device(device_type)) == "bf16-mixed"


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix [R, C] whose singular values are about 1, by Newton-Schulz iteration.

    In bfloat16 where the device multiplies it natively; a processor that must emulate it takes four times as long.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16() if _native_bfloat16(matrix.device.type) else matrix
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x.T if tall else x).to(matrix.dtype)
    return result


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
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = parameter.grad.flatten(1)
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(gradient)
                state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
                direction = orthogonalised(gradient.lerp(state["momentum"], group["momentum"]))
                size = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(direction.view_as(parameter), alpha=-group["lr"] * size)
