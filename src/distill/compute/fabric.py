"""Where a training runs: Lightning Fabric on the chosen device, in its precision, on one process or several."""

import inspect
import logging
from typing import Any

from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import nn

from distill.compute.device import check_processes, choose_device, training_precision
from distill.compute.processes import ONE, Processes
from distill.errors import DistillError


def launch_fabric(device_name: str, seed: int, processes: Processes = ONE) -> Fabric:
    """Fabric on the chosen device in the precision that suits it, everything random seeded.

    Several processes have met when this returns; `distill.compute.shares` says what each one's share is.

    Raises:
        DistillError: the device is not there, or not as many of it, or the strategy is none that works here.
    """
    device = choose_device(device_name)
    check_processes(processes, device)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the faces say what is used
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    strategy: str | Strategy = processes.strategy
    if processes.count > 1 and strategy in ("auto", "ddp"):
        # codebooks and counts are summed by those who keep them; torch has renamed the option
        options = inspect.signature(nn.parallel.DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers"
        chosen: dict[str, Any] = {name: False}
        strategy = DDPStrategy(**chosen)
    try:
        fabric = Fabric(
            accelerator=device.type,
            devices=processes.devices,
            num_nodes=processes.num_nodes,
            strategy=strategy,
            plugins=[Autocast("bf16-mixed", device.type)] if training_precision(device) == "bf16-mixed" else None,
        )
        fabric.launch()
    except (ValueError, TypeError, ImportError) as error:  # an unknown one, or of a library that is not there
        reason = str(error).split(". ")[0].rstrip(".")
        raise DistillError(f"--strategy {processes.strategy}: {reason}. Leave it out, or choose ddp.") from error
    fabric.seed_everything(seed, verbose=False)
    return fabric


class Autocast(MixedPrecision):
    """Mixed precision that leaves the batches alone: Fabric's own rounds them to bfloat16 before anything is computed,
    which adds noise 50 dB under samples and makes steps of half a decibel in mels."""

    def convert_input(self, data: Any) -> Any:
        """The batch as it is; autocast decides operation by operation."""
        return data
