"""A prior that has not learned from some files, and what each of them then teaches it: for saying what a sound is from.

Whoever leaves a file out and trains anew has another start, another order and another dropout too, and those change what a
single sound costs more than the file does. So here priors have all in common but the files: of one that is left out the
windows stay where they were, and count for nothing.
"""

import threading
from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import replace

import torch
from lightning_fabric import Fabric
from torch import Tensor

from distill.compute.threads import threads, training_threads
from distill.events import Event
from distill.models.prior import IGNORED, CodePrior
from distill.settings.prior import PriorSettings
from distill.training.prior.codes import CodeSequences
from distill.training.prior.task import PriorTask
from distill.training.prior.windows import CodeBatch, Window
from distill.training.run import Run

TAUGHT_STEPS = 20
"""Steps in which a prior is taught the files in question."""
TAUGHT_RATE = 5e-4
"""Their size."""


class PriorTaskWithout(PriorTask):
    """The training of a prior that does not learn from some of its files."""

    def __init__(
        self, sequences: CodeSequences, codebooks: Tensor, settings: PriorSettings, left_out: Collection[int]
    ) -> None:
        """`left_out`: numbers of training files."""
        super().__init__(sequences, codebooks, settings, lambda _best: [])
        self.left_out = [view.codes for number in left_out for view in sequences.train[number]]

    def batches(self, epoch: int) -> Iterable[CodeBatch]:  # type: ignore[override]
        """As those of all files, but for batches in which there is nothing to learn from."""
        return (batch for batch in super().batches(epoch) if self.items(batch))

    def batch_of(self, windows: Sequence[Window]) -> CodeBatch:
        """Windows as one batch, those of files that are left out without anything to learn."""
        made = super().batch_of(windows)
        out = torch.tensor([any(window.codes is codes for codes in self.left_out) for window in windows])
        return made._replace(targets=made.targets.masked_fill(out[:, None, None], IGNORED))


def prior_without(
    sequences: CodeSequences,
    codebooks: Tensor,
    settings: PriorSettings,
    fabric: Fabric,
    left_out: Collection[int],
    stop: threading.Event | None = None,
) -> Generator[Event, None, CodePrior]:
    """A prior trained from its first step without some files, for `settings.epochs`; its step events on the way.

    Args:
        left_out: numbers of training files.

    Returns:
        The prior, in eval mode.
    """
    fabric.seed_everything(settings.seed, verbose=False)
    task = PriorTaskWithout(sequences, codebooks, settings, left_out)
    return (yield from _trained(Run(task, fabric), task, stop))


def taught(
    start: CodePrior,
    sequences: CodeSequences,
    codebooks: Tensor,
    settings: PriorSettings,
    fabric: Fabric,
    files: Sequence[int],
    left_out: Collection[int],
    seed: int,
    stop: threading.Event | None = None,
) -> Generator[Event, None, CodePrior]:
    """A prior that has not learned from some files is taught them in a few steps, all but those that are left out.

    Args:
        start: it stays as it is.
        files: numbers of the training files in question.
        left_out: some of them.
        seed: of the order of windows, and of all else that is random: equal for priors that are to be compared.

    Returns:
        Another prior, in eval mode.
    """
    few = replace(sequences, train=tuple(sequences.train[number] for number in files), kinds=())
    places = [place for place, number in enumerate(files) if number in left_out]
    plain = {"dropout": 0.0, "token_masking": 0.0, "learning_rate": TAUGHT_RATE, "seed": seed}
    own = settings.model_copy(update=plain)
    fabric.seed_everything(seed, verbose=False)
    task = PriorTaskWithout(few, codebooks, own, places)
    task.epochs = max(1, round(TAUGHT_STEPS / task.steps_per_epoch))
    task.prior.load_state_dict(start.state_dict())
    return (yield from _trained(Run(task, fabric), task, stop))


def _trained(run: Run, task: PriorTask, stop: threading.Event | None) -> Generator[Event, None, CodePrior]:
    with threads(training_threads()):
        while run.epoch < task.epochs and not run.stopped:
            yield from run.train_epoch(stop)
    return task.prior.eval()
