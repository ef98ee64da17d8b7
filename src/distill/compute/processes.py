"""How many processes train one model together. One is the usual case. No torch here.

Lightning Fabric starts the others (each runs the same command again) or finds that torchrun or SLURM has. Each has all
weights and a share of every batch (`distill.compute.shares`); the first alone speaks and writes.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Processes:
    """How many processes train, and how they work together."""

    devices: int = 1
    """Processes on each machine: one for each accelerator, or for some of the processor's cores."""
    num_nodes: int = 1
    """Machines; the same command is started on each."""
    strategy: str = "auto"
    """A strategy of Lightning Fabric in which every process keeps all weights; "auto" is "ddp"."""

    @property
    def count(self) -> int:
        """All of them."""
        return self.devices * self.num_nodes


ONE = Processes()


def is_first() -> bool:
    """Whether this process speaks and writes; known from the environment before the processes have met."""
    if "RANK" in os.environ:
        return int(os.environ["RANK"]) == 0
    return all(int(os.environ.get(name, 0)) == 0 for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))
