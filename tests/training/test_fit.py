"""The one loop: it learns, keeps the best epoch, and ends cleanly however it is ended."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distill.compute.fabric import launch_fabric
from distill.compute.threads import threads
from distill.events import Event
from distill.training.averaging import WeightAverage
from distill.training.fit import FitResult, fit
from distill.training.run import Best, Progressed, Validation, learning_rate_at


class Stepped(Event):
    """One step."""


class Ended(Event):
    """One epoch."""


class Objective(nn.Module):
    """Squared distance of a weight from 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Tensor) -> Tensor:
        return (self.weight - batch).square().mean()


class Task:
    """Learn the number 3; the scores are given, so that the best epoch is known."""

    steps_per_epoch = 5

    def __init__(self, scores: list[float], average_decay: float = 0.0) -> None:
        self.objective = Objective()
        self.epochs = len(scores)
        self.scores = scores
        self.average_decay = average_decay
        self.patience = 0
        self.kept: list[Best] = []
        self.seen: list[float] = []

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.objective.parameters(), lr=0.1, weight_decay=0.0)]

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        pass

    def batches(self, epoch: int) -> Iterator[Tensor]:
        return iter([torch.full((1,), 3.0)] * self.steps_per_epoch)

    def items(self, batch: Tensor) -> int:
        return 1

    def validate(self, device: torch.device) -> Validation:
        self.seen.append(float(self.objective.weight.detach()))
        score = self.scores[len(self.seen) - 1]
        return Validation(score, {}, eligible=score < 100)

    def step_event(self, progressed: Progressed) -> Event:
        return Stepped()

    def epoch_events(self, progressed: Progressed, validation: Validation, best: Best | None) -> Sequence[Event]:
        return [Ended()]

    def keep(self, best: Best) -> None:
        self.kept.append(best)

    def progress(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore_progress(self, progress: dict[str, Any]) -> None:
        self.seen = progress["seen"]


def finish(
    task: Task, stop: threading.Event | None = None, stop_after: int | None = None
) -> tuple[list[Event], FitResult]:
    events: list[Event] = []
    running = fit(task, launch_fabric("cpu", 0), stop)
    while True:
        try:
            events.append(next(running))
        except StopIteration as ended:
            return events, ended.value
        if stop is not None and len(events) == stop_after:
            stop.set()


def test_the_loop_learns_and_reports_every_step_and_epoch() -> None:
    task = Task([1.0] * 20)
    events, result = finish(task)
    assert abs(task.objective.weight.item() - 3.0) < 0.3
    assert sum(isinstance(e, Stepped) for e in events) == 100
    assert sum(isinstance(e, Ended) for e in events) == 20
    assert result.epochs == 20
    assert not result.stopped_early


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_batch_reaches_the_objective_as_it_is(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    """Guards against samples and mels that are rounded to bfloat16 on their way, as mixed precision does by itself."""
    monkeypatch.setattr("distill.compute.fabric.training_precision", lambda device: precision)
    task, batch = Task([1.0]), torch.tensor([3.1234567])
    seen: list[Tensor] = []
    monkeypatch.setattr(task, "batches", lambda epoch: [batch])
    task.objective.register_forward_hook(lambda _, given, made: seen.append(given[0]))
    finish(task)
    assert torch.equal(seen[0], batch)


def test_the_best_epoch_is_kept_not_the_last() -> None:
    """Guards against saving the last epoch, and against a 'best' whose weights went on changing."""
    task = Task([5.0, 2.0, 4.0, float("nan"), 3.0])
    _, result = finish(task)
    assert result.best is not None
    assert result.best.epoch == 2
    assert float(result.best.state["weight"]) == pytest.approx(task.seen[1])
    assert [best.epoch for best in task.kept] == [1, 2]


def test_patience_ends_a_run_that_brings_nothing_better() -> None:
    """Guards against stopping one epoch early or late, and against stopping before there is a best."""
    task = Task([300.0, 300.0, 300.0, 5.0, 4.0, 6.0, 7.0, 8.0, 9.0])
    task.patience = 2
    _, result = finish(task)
    assert result.epochs == 7
    assert result.stopped_early
    assert result.best is not None
    assert result.best.epoch == 5


def test_an_epoch_that_is_not_eligible_is_never_best() -> None:
    task = Task([200.0, 300.0])
    assert finish(task)[1].best is None


def test_stop_ends_after_the_step_and_keeps_the_best() -> None:
    """Guards against a stop that loses the run; 13 events are two epochs and one step."""
    task, stop = Task([5.0, 4.0, 3.0, 2.0]), threading.Event()
    events, result = finish(task, stop, stop_after=13)
    assert result.stopped_early
    assert result.best is not None
    assert result.best.epoch in (2, 3)
    assert len(events) <= 14


def test_closing_the_generator_ends_the_run() -> None:
    """Guards against work that goes on after the consumer has left; what was best is already kept."""
    task = Task([5.0, 4.0, 3.0])
    running = fit(task, launch_fabric("cpu", 0))
    for _ in range(8):
        next(running)
    running.close()
    assert [best.epoch for best in task.kept] == [1]
    with pytest.raises(StopIteration):
        next(running)


def test_the_average_is_what_is_judged_and_kept() -> None:
    """Guards against validating the raw weights, and against training on from the average."""
    task = Task([1.0, 0.5], average_decay=0.9)
    oracle_weight, oracle_average = torch.zeros(1), torch.zeros(1)
    optimizer = torch.optim.AdamW([parameter := nn.Parameter(oracle_weight)], lr=0.1, weight_decay=0.0)
    for step in range(10):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step, 10, 0.1)
        optimizer.zero_grad()
        (parameter - 3.0).square().sum().backward()
        nn.utils.clip_grad_norm_([parameter], 1.0)
        optimizer.step()
        decay = min(0.9, (step + 1) / (step + 10))
        oracle_average = oracle_average * decay + parameter.detach() * (1 - decay)
    finish(task)
    assert task.seen[1] == pytest.approx(float(oracle_average), rel=1e-2)
    assert task.objective.weight.item() == pytest.approx(parameter.item(), rel=1e-2)


def test_swapping_twice_changes_nothing() -> None:
    module = nn.Linear(3, 3)
    average = WeightAverage(module, 0.9)
    before = module.weight.detach().clone()
    average.swap()
    average.swap()
    assert torch.equal(module.weight, before)


def test_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate_at(step, 100, 1.0) for step in range(100)]
    assert rates[4] == 1.0
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert 0 < rates[-1] < 0.03


def test_a_training_begun_while_sounds_are_made_has_its_threads() -> None:
    """Guards against one thread for a training's life because sampling, elsewhere, runs on one just then."""
    seen: list[int] = []

    class Watched(Task):
        def before_epoch(self, epoch: int, device: torch.device) -> None:
            seen.append(torch.get_num_threads())

    def train() -> None:
        list(fit(Watched([3.0, 2.0]), launch_fabric("cpu", 0)))
        seen.append(torch.get_num_threads())

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with threads(1):
            training = threading.Thread(target=train)
            training.start()
            training.join()
        assert seen == [2, 2, 4]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
