"""Which size of prior suits a corpus: a few are trained side by side for a while, and the held-out files decide.

Successive halving (Jamieson and Talwalkar, 2016): after each round the worst size leaves, and the one that is left is
trained on from where it stands. Every size is trained as if it were alone, with its own seed and the whole training's
learning rates, so that the winner becomes what it would have become without a race.
"""

import math
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning_fabric import Fabric

from distill.compute.threads import threads, training_threads
from distill.events import Event, PriorRaceRound, PriorStepMetrics, RacedSize
from distill.settings.prior import PriorSettings, PriorSize
from distill.training.prior.task import PriorTask
from distill.training.prior.validation import LN2, overfitting_gap
from distill.training.run import Run

ROUND_ENDS = (0.15, 0.25)
"""Shares of the whole training after which the worst size leaves, of three; of two the first is left out."""
WORTH_BITS = 0.05
"""Bits per code that a larger size has to be ahead by at the end of a round: larger ones learn faster at first, cost
more, and learn more by heart."""
COST_EXPONENT = 0.65
"""How the time of a step grows with the parameters, as measured."""


class Runner:
    """One size in the race, and its training as far as it has come."""

    def __init__(self, size: PriorSize, task: PriorTask, fabric: Fabric) -> None:
        self.size = size
        self.task = task
        self.run = Run(task, fabric)
        self.parameters = sum(p.numel() for p in task.prior.parameters())
        self.randomness = torch.get_rng_state()
        self.seconds = 0.0
        self.said: list[Event] = []
        self.in_race = True

    def train(self, last_epoch: int, stop: threading.Event | None) -> Generator[PriorStepMetrics, None, None]:
        """Go on up to the end of an epoch, or until `stop` is set."""
        torch.set_rng_state(self.randomness)
        begun = time.monotonic()
        self.run.started = begun - self.seconds  # its own time: others have run meanwhile
        while self.run.epoch < last_epoch and not self.run.stopped:
            losses = yield from _steps(self.run.train_epoch(stop))
            if losses:
                self.said += self.run.validate(losses)
            else:
                self.run.epoch -= 1
        self.randomness = torch.get_rng_state()
        self.seconds += time.monotonic() - begun

    def state(self) -> dict[str, Any]:
        """What the training goes on from, in time of its own."""
        return {**self.run.state(), "randomness": self.randomness, "elapsed_seconds": self.seconds}

    def stands(self) -> RacedSize:
        """How it stands."""
        best = self.run.best
        return RacedSize(
            *self.size,
            parameters=self.parameters,
            epochs=self.run.epoch,
            bits_per_code=None if best is None else best.validation.score / LN2,
            overfitting_gap=None if best is None else overfitting_gap(best.validation),
            goes_on=self.in_race,
        )

    def bits(self) -> float:
        """Bits per code of the held-out files at its best epoch so far."""
        return math.inf if self.run.best is None else self.run.best.validation.score / LN2


@dataclass(frozen=True)
class Raced:
    """What a race leaves."""

    settings: PriorSettings
    """The winner's."""
    state: dict[str, Any]
    """Of the winner's `Run`, to go on from."""
    said: tuple[Event, ...]
    """What there is to say of the winner's epochs."""
    last: PriorRaceRound
    steps: int
    """Steps that the others have had."""
    seconds: float
    """Time that the others have had."""


def race_sizes(
    sizes: Sequence[PriorSize],
    settings: PriorSettings,
    new_task: Callable[[PriorSettings], PriorTask],
    fabric: Fabric,
    stop: threading.Event | None = None,
) -> Generator[Event, None, Raced]:
    """Train priors of all sizes for a while, and name one.

    Args:
        sizes: two or three, from small to large.
        new_task: makes the training of a prior.
        stop: ends the race after the current step; whoever is ahead has won.
    """
    runners = []
    for size in sizes:
        of_size = settings.of_size(size)
        fabric.seed_everything(of_size.seed, verbose=False)  # each as if it were alone
        runners.append(Runner(size, new_task(of_size), fabric))
    ends = [max(1, round(share * settings.epochs)) for share in ROUND_ENDS[-(len(sizes) - 1) :]]
    plan = _Plan(runners, ends)
    yield _round(0, ends, runners)
    with threads(training_threads()):
        for number, last_epoch in enumerate(ends, start=1):
            for runner in (each for each in runners if each.in_race):
                for step in runner.train(last_epoch, stop):
                    yield plan.told(step)
            stopped = any(each.run.stopped for each in runners)
            _leave(runners, 1 if stopped else len(ends) - number + 1)
            yield _round(number, ends, runners)
            if stopped:
                break
    winner = next(each for each in runners if each.in_race)
    others = [each for each in runners if each is not winner]
    return Raced(
        winner.task.settings,
        winner.state(),
        tuple(winner.said),
        _round(number, ends, runners),
        sum(each.run.step for each in others),
        sum(each.seconds for each in others),
    )


def _leave(runners: Sequence[Runner], stay: int) -> None:
    """The worst sizes leave the race, all but `stay`; each is handicapped by its place among the sizes."""
    scores = {number: each.bits() + WORTH_BITS * number for number, each in enumerate(runners) if each.in_race}
    for number in sorted(scores, key=lambda each: scores[each])[stay:]:
        runners[number].in_race = False


def _round(number: int, ends: Sequence[int], runners: Sequence[Runner]) -> PriorRaceRound:
    return PriorRaceRound(number, len(ends), tuple(each.stands() for each in runners))


def _steps(steps: Generator[Event, None, list[float]]) -> Generator[PriorStepMetrics, None, list[float]]:
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            losses: list[float] = end.value
            return losses
        assert isinstance(event, PriorStepMetrics)
        yield event


class _Plan:
    """How much of the whole is done: of the race, and of the winner's training after it.

    Until it is decided, the largest sizes are taken for those that go on.
    """

    def __init__(self, runners: Sequence[Runner], ends: Sequence[int]) -> None:
        self.runners = runners
        self.ends = ends
        self.begun = time.monotonic()

    def told(self, step: PriorStepMetrics) -> PriorStepMetrics:
        """A step of one size as a step of the whole."""
        had, left = [each.run.step for each in self.runners], self._left()
        costs = [each.parameters**COST_EXPONENT for each in self.runners]
        done = sum(steps * cost for steps, cost in zip(had, costs, strict=True))
        open_costs = sum(steps * cost for steps, cost in zip(left, costs, strict=True))
        return replace(
            step,
            step=sum(had),
            total_steps=sum(had) + sum(left),
            seconds_left=(time.monotonic() - self.begun) / done * open_costs,
        )

    def _left(self) -> list[int]:
        """Steps that are left for each size."""
        racing = [each.in_race for each in self.runners]
        left = [0] * len(racing)
        for number, end in enumerate([*self.ends, self.runners[0].task.epochs]):
            racing = _largest(racing, len(self.ends) - number + 1)
            for place, runner in enumerate(self.runners):
                if racing[place]:
                    left[place] = max(0, end * runner.task.steps_per_epoch - runner.run.step)
        return left


def _largest(racing: Sequence[bool], count: int) -> list[bool]:
    """The last `count` of those that race."""
    places = [place for place, races in enumerate(racing) if races][-count:]
    return [place in places for place in range(len(racing))]
