"""The moving average of a network's weights, which is smoother than the weights themselves."""

import torch
from torch import nn


class WeightAverage:
    """Moving average of a module's parameters (Polyak averaging), taken in place of the weights for validation."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.parameters] if decay else []
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights in; the first steps count more, so that the start is soon forgotten."""
        if self.average:
            self.steps += 1
            decay = min(self.decay, self.steps / (self.steps + 9.0))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1.0 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange weights and average; twice is as before."""
        for parameter, average in zip(self.parameters, self.average, strict=False):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)
