"""The one place that chooses where and in which precision the networks run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import torch

from distill.errors import DistillError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32-true", "bf16-mixed"]


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA, then MPS, then the processor.

    Raises:
        DistillError: the device is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    if not present.get(name, False):
        raise DistillError(f"--device {name}: there is no such device here. Use --device auto or --device cpu.")
    return torch.device(name)


@lru_cache(maxsize=4)
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively. Where it does not, float32 is up to four times as fast.

    Decided by what the hardware is, not by timing it, so that runs repeat.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10
        capability = capabilities() if capabilities else {}
        return bool(capability.get("avx512_bf16", False) or capability.get("amx_bf16", False))
    return False


def training_precision(device: torch.device) -> Precision:
    """bfloat16 under autocast where the hardware is faster with it, else float32."""
    return "bf16-mixed" if multiplies_bfloat16(device) else "32-true"


def training_threads() -> int:
    """Half the processor's cores: the networks are small, and threads that wait for a busy core lose most.

    On two cores the second thread gains 15 % where nothing else runs, and costs 130 % beside one busy program.
    """
    return max(1, torch.get_num_threads() // 2)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run what follows on `count` threads of the processor."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
