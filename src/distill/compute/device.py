"""The one place that chooses where and in which precision the networks run."""

import json
import os
import platform
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from distill.compute.processes import Processes
from distill.errors import DistillError
from distill.files import replacing
from distill.places import cache_dir

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["32-true", "bf16-mixed"]
CLEARLY_FASTER = 0.8
"""Share of float32's time that bfloat16 may take: casting costs something too."""


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


@lru_cache(maxsize=4)
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster: where a CUDA device multiplies it natively, and where this processor was measured.

    A processor that does not multiply it natively is up to four times as fast with float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bfloat16_is_faster(cache_dir() / "processor.json")
    return False


def training_precision(device: torch.device) -> Precision:
    """bfloat16 under autocast where the hardware is faster with it, else float32."""
    return "bf16-mixed" if multiplies_bfloat16(device) else "32-true"


def bfloat16_is_faster(notes: Path) -> bool:
    """Whether this processor multiplies bfloat16 clearly faster than float32: measured once, then read from `notes`,
    so that a training that is repeated or resumed runs in the same precision."""
    processor = f"{platform.node()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()} {torch.__version__}"
    try:
        known = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    found = known.get(processor) if isinstance(known, dict) else None
    if isinstance(found, bool):
        return found
    faster = _product_seconds(torch.bfloat16) < CLEARLY_FASTER * _product_seconds(torch.float32)
    with suppress(DistillError), replacing(notes) as stream:  # a folder that cannot be written costs a measurement
        stream.write(json.dumps({processor: faster}).encode())
    return faster


def _product_seconds(dtype: torch.dtype) -> float:
    """The shortest of many products of a training's size: what others on the machine do lengthens the rest."""
    rows, weights = torch.ones(512, 256, dtype=dtype), torch.ones(256, 1024, dtype=dtype)
    taken = []
    with torch.no_grad():
        for _ in range(10):
            begun = time.perf_counter()
            rows @ weights
            taken.append(time.perf_counter() - begun)
    return min(taken)
