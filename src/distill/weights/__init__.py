"""Weights that a training starts from, learned on sounds of the program's own making (tools/)."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


def fits(name: str, build: Callable[[], nn.Module]) -> bool:
    """Whether a module as `build` makes it has the shapes that the weights kept under `name` were learned for."""
    with torch.device("meta"):
        own = build().state_dict()
    return all(key in own and own[key].shape == shape for key, shape in _shapes(name).items())


@lru_cache(maxsize=4)
def _shapes(name: str) -> dict[str, torch.Size]:
    kept = torch.load(HERE / f"{name}.pt", map_location="cpu", weights_only=True, mmap=True)
    return {key: tensor.shape for key, tensor in kept.items()}


def start_from(module: nn.Module, name: str) -> bool:
    """Give `module` the weights kept under `name`, if it has the shapes they were learned for.

    Returns:
        Whether it had: a codec of another width starts from nothing.
    """
    kept = torch.load(HERE / f"{name}.pt", map_location="cpu", weights_only=True)
    own = module.state_dict()
    if any(key not in own or own[key].shape != tensor.shape for key, tensor in kept.items()):
        return False
    module.load_state_dict({key: tensor.float() for key, tensor in kept.items()}, strict=False)
    return True
