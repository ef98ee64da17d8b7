"""A training under way: its steps, its validation, and how it is put down and taken up again."""

import copy
import math
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from distill.compute.shares import any_process, as_the_first, count, rank, row_count, rows_of, summed, together
from distill.events import Event
from distill.training.averaging import WeightAverage

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
class Validation:
    """What validation says: the score that decides which epoch is best (lower is better), and the task's own details."""

    score: float
    details: dict[str, Any]
    """Plain values."""
    eligible: bool = True
    """False while the model is not yet what it will be (the codec before it quantises): never the best epoch."""


@dataclass(frozen=True)
class Best:
    """The best epoch so far."""

    epoch: int
    validation: Validation
    state: dict[str, Tensor]  # the objective's weights, on the CPU


class Task(Protocol):
    """One kind of training."""

    @property
    def objective(self) -> nn.Module:
        """`objective(batch)` is the loss to minimise, a scalar."""

    epochs: int
    steps_per_epoch: int
    patience: int
    """Epochs without a new best after which the run ends; 0: it never does."""
    average_decay: float
    """Decay per step of the moving average of the weights that is validated and kept; 0: the weights themselves."""

    def optimizers(self) -> list[Optimizer]:
        """Each with its highest learning rate, which `fit` lets rise and fall."""

    def before_epoch(self, epoch: int, device: torch.device) -> None: ...

    def batches(self, epoch: int) -> Iterable[Any]:
        """The `steps_per_epoch` batches of this epoch: tuples of tensors."""

    def items(self, batch: Any) -> int:
        """How much a batch is worth in the unit of throughput (crops, tokens)."""

    def validate(self, device: torch.device) -> Validation: ...

    def step_event(self, progressed: Progressed) -> Event: ...

    def epoch_events(self, progressed: Progressed, validation: Validation, best: Best | None) -> Sequence[Event]:
        """What to say of an epoch: its metrics first, then previews, warnings and the like."""

    def keep(self, best: Best) -> Sequence[Event] | None:
        """Called when an epoch is the best so far, so that it is on the disk before anything else happens -> what is to be
        said of that, if anything is."""

    def progress(self) -> dict[str, Any]:
        """What else the task would need to go on after this epoch, as plain values."""

    def restore_progress(self, progress: dict[str, Any]) -> None: ...


def learning_rate_at(step: int, total_steps: int, highest: float) -> float:
    """Linear rise over the first `WARMUP_SHARE` of the steps, then half a cosine down to `FINAL_LEARNING_RATE`."""
    warmup = max(1, round(total_steps * WARMUP_SHARE))
    if step < warmup:
        return highest * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return highest * (FINAL_LEARNING_RATE + (1 - FINAL_LEARNING_RATE) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


class Run:
    """A training under way: everything that changes, and how it is put down and taken up again."""

    def __init__(self, task: Task, fabric: Fabric) -> None:
        self.task = task
        self.fabric = fabric
        self.optimizers = task.optimizers()
        self.highest_rates = [group["lr"] for group in self._groups()]
        self.module, *self.wrapped = fabric.setup(task.objective, *self.optimizers)
        self.average = WeightAverage(task.objective, task.average_decay)
        self.total_steps = task.epochs * task.steps_per_epoch
        self.started = time.monotonic()
        self.training_seconds = 0.0
        self.items = self.step = self.epoch = 0
        self.best: Best | None = None
        self.validation: Validation | None = None
        self.stopped = False
        if together():
            torch.manual_seed(torch.initial_seed() + rank())  # equal weights, unlike dropout

    def train_epoch(self, stop: threading.Event | None = None) -> Generator[Event, None, list[float]]:
        """The steps of the next epoch, as events -> their losses; fewer where `stop` was set."""
        self.epoch += 1
        self.task.before_epoch(self.epoch, self.fabric.device)
        as_the_first(list(self.task.objective.buffers()))
        losses: list[float] = []
        for batch in self.task.batches(self.epoch):
            self.stopped = any_process(stop is not None and stop.is_set(), self.fabric.device)
            if self.stopped:
                break
            losses.append(self.train_step(batch))
            yield self.task.step_event(self.progressed(losses[-1]))
        return losses

    def train_step(self, batch: Any) -> float:
        """One step of the optimisers -> the loss before it."""
        begun = time.monotonic()
        for group, highest in zip(self._groups(), self.highest_rates, strict=True):
            group["lr"] = learning_rate_at(self.step, self.total_steps, highest)
        self.task.objective.train()
        value = self._backward(batch) if count() == 1 else self._backward_share(batch)
        nn.utils.clip_grad_norm_(self.task.objective.parameters(), GRADIENT_NORM)
        for optimizer in self.wrapped:
            optimizer.step()
            optimizer.zero_grad()
        self.average.update()
        self.step += 1
        self.items += self.task.items(batch)
        self.training_seconds += time.monotonic() - begun
        return value

    def _backward(self, batch: Any) -> float:
        loss = self.module(self.fabric.to_device(batch))
        self.fabric.backward(loss)
        return float(loss.detach())

    def _backward_share(self, batch: Any) -> float:
        """This process's rows of the batch. Fabric averages gradients over processes; weighted by what each share is
        worth, that is the gradient of the whole batch."""
        whole, mine = self.task.items(batch), rows_of(batch, rank(), count())
        if row_count(mine):
            worth = self.task.items(mine) / whole
        else:  # fewer rows than processes: join in with a row that counts for nothing
            worth, mine = 0.0, rows_of(batch, 0, row_count(batch))
        loss = self.module(self.fabric.to_device(mine))
        self.fabric.backward(loss * (worth * count()))
        return float(summed(loss.detach() * worth))

    def validate(self, losses: list[float]) -> Sequence[Event]:
        """Validate the averaged weights at the end of an epoch; keep them if they are the best so far."""
        self.average.swap()
        self.task.objective.eval()
        validation = self.validation = self.task.validate(self.fabric.device)
        better = self.best is None or validation.score < self.best.validation.score
        if validation.eligible and math.isfinite(validation.score) and better:
            self.best = Best(self.epoch, validation, _cpu_state(self.task.objective))
        self.average.swap()
        events = self.task.epoch_events(self.progressed(sum(losses) / len(losses)), validation, self.best)
        if self.best is not None and self.best.epoch == self.epoch and self.fabric.is_global_zero:
            events = [*events, *(self.task.keep(self.best) or ())]
        return events

    def out_of_patience(self) -> bool:
        """Whether the best epoch is too long ago."""
        return bool(self.task.patience) and self.best is not None and self.epoch - self.best.epoch >= self.task.patience

    def progressed(self, loss: float) -> Progressed:
        """Where the run is."""
        elapsed = time.monotonic() - self.started
        return Progressed(
            epoch=self.epoch,
            epochs=self.task.epochs,
            step=self.step,
            total_steps=self.total_steps,
            loss=loss,
            learning_rate=self._groups()[0]["lr"],
            items_per_second=self.items_per_second,
            seconds_left=elapsed / max(self.step, 1) * (self.total_steps - self.step),
        )

    def _groups(self) -> list[dict[str, Any]]:
        """The optimisers' parameter groups; new objects after a restore."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def items_per_second(self) -> float:
        """Throughput of the training steps alone."""
        return self.items / max(self.training_seconds, 1e-9)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, at the end of an epoch: plain values and tensors."""
        best, validation = self.best, self.validation
        return {
            "epoch": self.epoch,
            "step": self.step,
            "items": self.items,
            "training_seconds": self.training_seconds,
            "elapsed_seconds": time.monotonic() - self.started,
            "objective": self.task.objective.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "average": self.average.average,
            "average_steps": self.average.steps,
            "best": None
            if best is None
            else {"epoch": best.epoch, "validation": vars(best.validation), "state": best.state},
            "validation": None if validation is None else vars(validation),
            "randomness": torch.get_rng_state(),
            "task": self.task.progress(),
        }

    def snapshot(self) -> dict[str, Any]:
        """`state`, which later steps leave as it is."""
        shared = {} if self.best is None else {id(self.best.state): self.best.state}
        return copy.deepcopy(self.state(), shared)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`: the weights that come out are those of a run that was never interrupted."""
        self.epoch, self.step, self.items = state["epoch"], state["step"], state["items"]
        self.training_seconds = state["training_seconds"]
        self.started = time.monotonic() - state["elapsed_seconds"]
        self.task.objective.load_state_dict(state["objective"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        for average, kept in zip(self.average.average, state["average"], strict=True):
            average.copy_(kept)
        self.average.steps = state["average_steps"]
        best, validation = state["best"], state["validation"]
        self.best = None if best is None else Best(best["epoch"], Validation(**best["validation"]), best["state"])
        self.validation = None if validation is None else Validation(**validation)
        torch.set_rng_state(state["randomness"])
        if rank():
            torch.manual_seed(torch.initial_seed() + self.step)  # the state is the first process's
        self.task.restore_progress(state["task"])


def _cpu_state(module: nn.Module) -> dict[str, Tensor]:
    return {name: copy.deepcopy(tensor.detach().cpu()) for name, tensor in module.state_dict().items()}
