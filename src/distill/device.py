"""The one place that chooses where and in which precision the networks run."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from distill.errors import DistillError
from distill.processes import Processes

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


def check_processes(processes: Processes, device: torch.device) -> None:
    """Whether this machine can do it.

    Raises:
        DistillError: it cannot.
    """
    there, what = _places(device)
    if not 1 <= processes.devices <= there:
        raise DistillError(f"--devices {processes.devices}: this machine has {there} {what}. Choose 1 to {there}.")
    if processes.num_nodes < 1:
        raise DistillError(f"--num-nodes {processes.num_nodes}: choose 1 or more.")
    started_by = {"MASTER_ADDR", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"}
    if processes.num_nodes > 1 and not started_by & set(os.environ):
        raise DistillError(
            f"--num-nodes {processes.num_nodes}: set MASTER_ADDR and MASTER_PORT (the first machine) and NODE_RANK "
            "(0, 1, ...) in the environment of each machine, or start them with torchrun or SLURM."
        )


def _places(device: torch.device) -> tuple[int, str]:
    if device.type == "cuda":
        return torch.cuda.device_count(), "CUDA devices"
    if device.type == "mps":
        return 1, "such device"
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1, "processor cores"


def training_precision(device: torch.device) -> Precision:
    """bfloat16 where the hardware multiplies it natively, else float32; decided by what it is, so runs repeat."""
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if device.type == "cpu":
        capabilities = getattr(torch.cpu, "get_capabilities", None)  # since torch 2.10
        capability = capabilities() if capabilities else {}
        native = capability.get("avx512_bf16", False) or capability.get("amx_bf16", False)
        return "bf16-mixed" if native else "32-true"
    return "32-true"


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
