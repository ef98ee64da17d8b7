"""Stage 2: training the prior on the codes of the codec's own corpus. The codec is only read."""

import math
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from distill.events import Event, PriorEpochMetrics, PriorStepMetrics
from distill.modelfile.card import LossPoint
from distill.models.canvas import kept_columns
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.settings.auto import epoch_windows
from distill.settings.prior import PriorSettings
from distill.training.prior.asking import asked
from distill.training.prior.baselines import Baselines
from distill.training.prior.codes import CodeSequences, CodeView
from distill.training.prior.judged import judged_by
from distill.training.prior.memorization import judge_memorization
from distill.training.prior.validation import (
    LN2,
    compute_perplexity,
    gap_interval,
    is_overfitting,
    overfitting_gap,
    validate_prior_epoch,
)
from distill.training.prior.windows import CodeBatch, Window, make_batch
from distill.training.run import Best, Progressed, Run, Validation
from distill.training.stage import LossCurve

COMPARED_FILES = 32
"""Training files whose loss is measured in eval mode beside the held-out files'."""


LISTENED = 8
"""How often in a training a few new sounds are compared with the recordings."""
AS_GOOD = 1.02
"""An epoch predicts as well as the best one up to this ratio of perplexities."""


@dataclass(frozen=True)
class Newest:
    """The epoch whose sounds hold the least of the recordings, among those that predict as well as the best one."""

    epoch: int
    score: float
    copied: float
    state: dict[str, Tensor]  # the prior's weights, on the CPU


class PriorObjective(nn.Module):
    """The loss of a batch, as one forward pass (so that Fabric can wrap it)."""

    def __init__(self, prior: CodePrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, batch: CodeBatch) -> Tensor:
        logits = self.prior(batch.codes, batch.start, batch.hidden, batch.given)
        return F.cross_entropy(logits.flatten(0, 2), batch.targets.flatten(), ignore_index=IGNORED)


class PriorTask:
    """What `fit` needs to train a prior on sequences of codes."""

    average_decay = 0.0

    def __init__(
        self,
        sequences: CodeSequences,
        codebooks: Tensor,
        settings: PriorSettings,
        on_best: Callable[[Best], Sequence[Event] | None],
        copied: Callable[[CodePrior], float] | None = None,
    ) -> None:
        """
        Args:
            copied: which share of new sounds holds too much of the recordings; asked every few epochs.
        """
        self.settings = settings
        self.on_best = on_best
        self.sequences = sequences
        self.prior = CodePrior(settings.architecture(), codebooks)
        self.objective = PriorObjective(self.prior)
        self.epochs = settings.epochs
        self.patience = settings.patience
        self.learning_rate = settings.learning_rate
        self.window = settings.seq_len // settings.bands
        windows = sum(math.ceil(self._columns(codes) / self.window) for codes in sequences.train_codes)
        positions = sum(map(len, sequences.train_codes))
        self.windows_per_epoch = epoch_windows(windows, positions, settings.preset, settings.batch_size)
        self.steps_per_epoch = math.ceil(self.windows_per_epoch / settings.batch_size)
        self.file_count = len(sequences.train) + len(sequences.val)
        self.judged = judged_by(sequences.val, settings.bands)
        self.known = judged_by(sequences.train_codes[:COMPARED_FILES], settings.bands)
        self.baselines = Baselines.of(
            sequences.train_codes, self.judged, settings.codebook_size, settings.bands, settings.image_columns
        )
        self.history = LossCurve()
        self.copied = copied
        self.newest: Newest | None = None
        self.last_copied: float | None = None
        self._epoch = 0

    def optimizers(self) -> list[Optimizer]:
        """AdamW; weight decay on matrices and code tables."""
        groups = self.prior.parameter_groups(self.settings.weight_decay)
        return [AdamW(groups, self.settings.learning_rate, betas=(0.9, 0.99))]

    def before_epoch(self, epoch: int, device: torch.device) -> None:  # noqa: ARG002 - as `Task` has it
        """Which epoch is next."""
        self._epoch = epoch

    def batches(self, epoch: int) -> Iterator[CodeBatch]:
        """Every file once, in one of its views: the window at its beginning, and the others at new offsets. Of a long
        corpus a share of those windows, drawn anew each time."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        windows = list(self._train_windows(rng))
        order = rng.permutation(len(windows))[: self.windows_per_epoch]
        for batch in range(self.steps_per_epoch):
            chosen = order[batch :: self.steps_per_epoch]
            made = self.batch_of([windows[i] for i in chosen])
            masked = rng.random(made.codes.shape) < self.settings.token_masking
            yield made._replace(hidden=torch.from_numpy(masked))

    def batch_of(self, windows: Sequence[Window]) -> CodeBatch:
        """Windows as one batch."""
        return make_batch(windows, self.settings)

    def items(self, batch: CodeBatch) -> int:
        """Tokens that are learned from."""
        return int((batch.targets != IGNORED).sum())

    def validate(self, device: torch.device) -> Validation:
        """Loss on the held-out files, and beside it the loss on training files, both in eval mode."""
        found = validate_prior_epoch(self.prior, self.judged, device)
        known = validate_prior_epoch(self.prior, self.known, device)
        details: dict[str, Any] = {
            "per_level": list(found.per_level),
            "known_loss": known.loss,
            "gap_interval": list(gap_interval(found.by_file, known.by_file)),
            "copied": None,
        }
        turn = max(1, self.epochs // LISTENED)
        if self.copied is not None and self._epoch % turn == 0:
            details["copied"] = self.last_copied = self.copied(self.prior)
        return Validation(found.loss, details)

    def step_event(self, progressed: Progressed) -> Event:
        """One step."""
        p = progressed
        return PriorStepMetrics(
            p.epoch,
            p.step,
            p.total_steps,
            p.loss,
            p.learning_rate,
            p.seconds_left,
            p.items_per_second,
            compute_perplexity(p.loss),
        )

    def epoch_events(self, progressed: Progressed, validation: Validation, best: Best | None) -> Sequence[Event]:
        """One epoch."""
        known = validation.details["known_loss"]
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=known, val=validation.score))
        perplexity = compute_perplexity(validation.score)
        copied = validation.details["copied"]
        if copied is not None and best is not None:
            self._keep_if_newer(progressed.epoch, validation.score, copied, best)
        interval = tuple(validation.details["gap_interval"])
        flag, message = judge_memorization(interval, copied, perplexity, self.settings.codebook_size, self.file_count)
        metrics = PriorEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_loss=validation.score,
            train_perplexity=compute_perplexity(known),
            val_perplexity=perplexity,
            val_perplexity_per_level=tuple(validation.details["per_level"]),
            bits_per_code=validation.score / LN2,
            unigram_bits_per_code=self.baselines.unigram,
            ngram_bits_per_code=self.baselines.ngram,
            best_perplexity=compute_perplexity(best.validation.score) if best else math.inf,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            learning_rate=progressed.learning_rate,
            tokens_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
            overfitting_gap=overfitting_gap(validation),
            overfitting_gap_interval=interval,
            copied=copied,
            overfitting=is_overfitting(validation, best.validation if best else validation),
            memorization_flag=flag,
            memorization_message=message,
        )
        return [metrics]

    def keep(self, best: Best) -> Sequence[Event] | None:
        """Put the best prior so far on the disk."""
        return self.on_best(best)

    def progress(self) -> dict[str, Any]:
        """The curve so far."""
        newest = None if self.newest is None else vars(self.newest)
        return {"history": self.history.plain(), "newest": newest, "last_copied": self.last_copied}

    def restore_progress(self, progress: dict[str, Any]) -> None:
        """The inverse of `progress`."""
        self.history.restore(progress["history"])
        self.last_copied, newest = progress["last_copied"], progress["newest"]
        self.newest = None if newest is None else Newest(**newest)

    def _keep_if_newer(self, epoch: int, score: float, copied: float, best: Best) -> None:
        """Keep an epoch whose sounds hold less of the recordings than those of all others that predict as well."""
        limit = best.validation.score + math.log(AS_GOOD)
        before = self.newest if self.newest is not None and self.newest.score <= limit else None
        if score <= limit and (before is None or (copied, score) < (before.copied, before.score)):
            state = {name: tensor.detach().cpu().clone() for name, tensor in self.prior.state_dict().items()}
            self.newest = Newest(epoch, score, copied, state)
        else:
            self.newest = before

    def _columns(self, codes: Tensor) -> int:
        return len(codes) // self.settings.bands

    def _train_windows(self, rng: np.random.Generator) -> Iterator[Window]:
        kinds = self.sequences.kinds or (0,) * len(self.sequences.train)
        for views, kind in zip(self.sequences.train, kinds, strict=True):
            view = views[int(rng.integers(len(views)))]
            for window in self._windows_of(view, rng):
                yield asked(window, view, kind, self.settings, rng)

    def _windows_of(self, view: CodeView, rng: np.random.Generator) -> Iterator[Window]:
        """The last window ends with the file wherever a new sound may be asked whether it is over (`canvas.reaches`): were
        all windows full, the prior would have learned that nothing is ever over before their end."""
        columns = self._columns(view.codes)
        yield Window(view.codes, 0, min(columns, self.window), BOS if view.from_start else MID)
        for place in range(1, math.ceil(columns / self.window)):
            first = max(1, place * self.window + int(rng.integers(-self.window + 1, self.window)))
            if first > columns - self.window:
                first = columns - int(rng.integers(max(1, kept_columns(self.window)), self.window + 1))
            yield Window(view.codes, first, min(self.window, columns - first), MID)


def train_prior_epoch(run: Run, stop: threading.Event | None = None) -> Generator[Event, None, float]:
    """One epoch of a prior, of a `Run` of a `PriorTask`, without validation: for a loop of one's own, and for measuring.

    `fit` goes through the same steps.

    Returns:
        The mean loss of its steps in nats per code; NaN if it was stopped before the first.
    """
    losses = yield from run.train_epoch(stop)
    return sum(losses) / len(losses) if losses else math.nan
