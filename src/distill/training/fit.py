"""The one training loop. A task says what to learn; `fit` runs it on Lightning Fabric and yields what happens."""

import copy
import logging
import math
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from distill.device import choose_device, training_precision
from distill.events import Event

WARMUP_SHARE = 0.05
"""Share of the steps in which the learning rate rises from zero."""
FINAL_LEARNING_RATE = 0.02
"""Where the cosine ends, as a share of the highest learning rate."""
GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Progressed:
    """Where the loop is, for a task to make an event of."""

    epoch: int  # from 1
    epochs: int
    step: int  # from 1, over all epochs
    total_steps: int
    loss: float  # of the step, or the mean of the epoch
    learning_rate: float
    items_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Judged:
    """What validation says: the score that decides which epoch is best (lower is better), and the task's own details."""

    score: float
    details: Any
    eligible: bool = True
    """False while the model is not yet what it will be (the codec before it quantises): never the best epoch."""


@dataclass(frozen=True)
class Best:
    """The best epoch so far."""

    epoch: int
    judged: Judged
    state: dict[str, Tensor]  # the objective's weights, on the CPU


@dataclass(frozen=True)
class FitResult:
    """What a finished or stopped training leaves."""

    best: Best | None
    last: Judged | None
    epochs: int
    """Epochs that were completed."""
    seconds: float
    stopped_early: bool
    items_per_second: float


class Task(Protocol):
    """One kind of training."""

    @property
    def objective(self) -> nn.Module:
        """`objective(batch)` is the loss to minimise, a scalar."""

    epochs: int
    steps_per_epoch: int
    average_decay: float
    """Decay per step of the moving average of the weights that is validated and kept; 0: the weights themselves."""

    def optimizers(self) -> list[Optimizer]:
        """Each with its highest learning rate, which `fit` lets rise and fall."""

    def before_epoch(self, epoch: int, device: torch.device) -> None: ...

    def batches(self, epoch: int) -> Iterable[Any]:
        """The `steps_per_epoch` batches of this epoch: tuples of tensors."""

    def items(self, batch: Any) -> int:
        """How much a batch is worth in the unit of throughput (crops, tokens)."""

    def validate(self, device: torch.device) -> Judged: ...

    def step_event(self, progressed: Progressed) -> Event: ...

    def epoch_event(self, progressed: Progressed, judged: Judged, best: Best | None) -> Event: ...

    def keep(self, best: Best) -> None:
        """Called when an epoch is the best so far, so that it is on the disk before anything else happens."""


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


def learning_rate_at(step: int, total_steps: int, highest: float) -> float:
    """Linear rise over the first `WARMUP_SHARE` of the steps, then half a cosine down to `FINAL_LEARNING_RATE`."""
    warmup = max(1, round(total_steps * WARMUP_SHARE))
    if step < warmup:
        return highest * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return highest * (FINAL_LEARNING_RATE + (1 - FINAL_LEARNING_RATE) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def launch_fabric(device_name: str, seed: int) -> Fabric:
    """Fabric on the chosen device in the precision that suits it, everything random seeded."""
    device = choose_device(device_name)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # the faces say what is used
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(accelerator=device.type, devices=1, precision=training_precision(device))
    fabric.launch()
    fabric.seed_everything(seed, verbose=False)
    return fabric


def fit(task: Task, fabric: Fabric, stop: threading.Event | None = None) -> Generator[Event, None, FitResult]:
    """Run a task to its end, or until `stop` is set.

    Whatever way it ends, closing included, the best epoch has gone through `task.keep`.
    """
    optimizers = task.optimizers()
    module, *wrapped_optimizers = fabric.setup(task.objective, *optimizers)
    groups = [(group, group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]
    average = WeightAverage(task.objective, task.average_decay)
    total_steps = task.epochs * task.steps_per_epoch
    started, training_seconds, items, step, epoch = time.monotonic(), 0.0, 0, 0, 0
    best: Best | None = None
    judged: Judged | None = None
    stopped = False

    def progressed(loss: float) -> Progressed:
        elapsed = time.monotonic() - started
        return Progressed(
            epoch, task.epochs, step, total_steps, loss, groups[0][0]["lr"],
            items / max(training_seconds, 1e-9), elapsed / max(step, 1) * (total_steps - step),
        )  # fmt: skip

    while epoch < task.epochs and not stopped:
        epoch += 1
        task.before_epoch(epoch, fabric.device)
        losses = []
        for batch in task.batches(epoch):
            if stop is not None and stop.is_set():
                stopped = True
                break
            begun = time.monotonic()
            for group, highest in groups:
                group["lr"] = learning_rate_at(step, total_steps, highest)
            task.objective.train()
            loss = module(fabric.to_device(batch))
            fabric.backward(loss)
            nn.utils.clip_grad_norm_(task.objective.parameters(), GRADIENT_NORM)
            for optimizer in wrapped_optimizers:
                optimizer.step()
                optimizer.zero_grad()
            average.update()
            losses.append(float(loss.detach()))
            step += 1
            items += task.items(batch)
            training_seconds += time.monotonic() - begun
            yield task.step_event(progressed(losses[-1]))
        if not losses:
            break
        average.swap()
        task.objective.eval()
        judged = task.validate(fabric.device)
        if judged.eligible and math.isfinite(judged.score) and (best is None or judged.score < best.judged.score):
            best = Best(epoch, judged, _cpu_state(task.objective))
        average.swap()
        event = task.epoch_event(progressed(sum(losses) / len(losses)), judged, best)
        if best is not None and best.epoch == epoch:
            task.keep(best)
        yield event
    return FitResult(
        best, judged, epoch, time.monotonic() - started, stopped, items / max(training_seconds, 1e-9)
    )  # fmt: skip


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: copy.deepcopy(tensor.detach().cpu()) for name, tensor in module.state_dict().items()}
