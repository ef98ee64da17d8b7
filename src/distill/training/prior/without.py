"""The same prior without some of its files: what they have taught it, found by leaving them out.

Every prior here is trained with the same start, the same windows, the same order and the same dropout; of a file that is left
out the windows stay where they were and count for nothing. So two of them differ by that file and by nothing else.
"""

import threading
from collections.abc import Collection, Generator, Sequence
from typing import Any

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

COMMON_SHARE = 0.6
"""Share of the epochs that all priors have in common, trained without any of the files that are left out in turn."""


class PriorTaskWithout(PriorTask):
    """The training of a prior that does not learn from some of its files."""

    def __init__(
        self, sequences: CodeSequences, codebooks: Tensor, settings: PriorSettings, left_out: Collection[int]
    ) -> None:
        """`left_out`: numbers of training files."""
        super().__init__(sequences, codebooks, settings, lambda _best: [])
        self.left_out = [view.codes for number in left_out for view in sequences.train[number]]

    def batches(self, epoch: int) -> Any:
        """As those of all files, but for batches in which there is nothing to learn from."""
        return (batch for batch in super().batches(epoch) if self.items(batch))

    def batch_of(self, windows: Sequence[Window]) -> CodeBatch:
        """Windows as one batch, those of files that are left out without anything to learn."""
        made = super().batch_of(windows)
        out = torch.tensor([any(window.codes is codes for codes in self.left_out) for window in windows])
        return made._replace(targets=made.targets.masked_fill(out[:, None, None], IGNORED))


class LeavingOut:
    """Priors of one corpus that differ by the files that they have not learned from.

    All begin alike, without any of the files in question; from there each goes on by itself.
    """

    def __init__(
        self,
        sequences: CodeSequences,
        codebooks: Tensor,
        settings: PriorSettings,
        fabric: Fabric,
        in_question: Collection[int],
        common_share: float = COMMON_SHARE,
    ) -> None:
        """
        Args:
            settings: `epochs` and `seed` among them.
            in_question: numbers of the training files that are left out in turn.
            common_share: 0: every prior is trained from its first step without its files alone.
        """
        self.sequences = sequences
        self.codebooks = codebooks
        self.settings = settings
        self.fabric = fabric
        self.in_question = frozenset(in_question)
        self.common_epochs = round(common_share * settings.epochs)
        self.start: dict[str, Any] | None = None

    def common(self, stop: threading.Event | None = None) -> Generator[Event, None, None]:
        """Train what all have in common."""
        run = self._run(self.in_question)
        yield from self._train(run, self.common_epochs, stop)
        self.start = run.state()

    def without(
        self, left_out: Collection[int], stop: threading.Event | None = None
    ) -> Generator[Event, None, CodePrior]:
        """Go on from there without these files alone -> the prior, in eval mode."""
        run = self._run(left_out)
        if self.start is not None:
            run.restore(self.start)
        yield from self._train(run, self.settings.epochs, stop)
        task = run.task
        assert isinstance(task, PriorTask)
        return task.prior.eval()

    def _run(self, left_out: Collection[int]) -> Run:
        self.fabric.seed_everything(self.settings.seed, verbose=False)
        return Run(PriorTaskWithout(self.sequences, self.codebooks, self.settings, left_out), self.fabric)

    def _train(self, run: Run, last_epoch: int, stop: threading.Event | None) -> Generator[Event, None, None]:
        with threads(training_threads()):
            while run.epoch < last_epoch and not run.stopped:
                yield from run.train_epoch(stop)
