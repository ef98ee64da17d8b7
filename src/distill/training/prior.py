"""Stage 2: training the prior on the codes of the codec's own corpus. The codec is only read."""

import math
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from distill.audio.corpus import CorpusManifest
from distill.auto import Resolved
from distill.bundle import LossPoint, PriorMetadata, read_contents
from distill.config import PriorSettings
from distill.events import (
    Event,
    PriorEpochMetrics,
    PriorStepMetrics,
    PriorTrainingCompleteEvent,
    Warned,
)
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.processes import ONE, Processes
from distill.training.baselines import Baselines
from distill.training.codes import CodeSequences, pack_codes
from distill.training.fabric import launch_fabric
from distill.training.fit import Best, Judged, Progressed, Run
from distill.training.memorization import check_memorization
from distill.training.shares import share, summed
from distill.training.stage import LossCurve, Stage, Trained, train_stage
from distill.training.windows import CodeBatch, Window, make_batch

LN2 = math.log(2.0)
PRIOR_STAGE = "prior"
VALIDATION_BATCH = 32
OVERFITTING_BITS = 0.1
"""Bits per code over the best epoch's that count as clearly worse."""
COMPARED_FILES = 32
"""Training files whose loss is measured in eval mode beside the held-out files'."""


class Perplexities(NamedTuple):
    """How well the prior predicts a set of codes; EOS is left out, so that bits are bits per code."""

    loss: float  # nats per code, summed loss over summed codes
    per_level: tuple[float, ...]  # perplexity of each level


SAID_BEFORE = {"training_date", "corpus_digest", "hidden_size", "num_layers", "num_heads", "parameters"}
"""Parts of the metadata that `TrainingStarted` and the model's file say, not the last event."""


class PriorObjective(nn.Module):
    """The loss of a batch, as one forward pass (so that Fabric can wrap it)."""

    def __init__(self, prior: CodePrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, batch: CodeBatch) -> Tensor:
        logits = self.prior(batch.codes, batch.start, batch.hidden)
        return F.cross_entropy(logits.flatten(0, 2), batch.targets.flatten(), ignore_index=IGNORED)


class PriorTask:
    """What `fit` needs to train a prior on sequences of codes."""

    average_decay = 0.0

    def __init__(
        self, sequences: CodeSequences, codebooks: Tensor, settings: PriorSettings, on_best: Callable[[Best], None]
    ) -> None:
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
        self.steps_per_epoch = math.ceil(windows / settings.batch_size)
        self.file_count = len(sequences.train) + len(sequences.val)
        self.baselines = Baselines.of(sequences.train_codes, sequences.val, settings.codebook_size, settings.bands)
        self.history = LossCurve()

    def optimizers(self) -> list[Optimizer]:
        """AdamW; weight decay on matrices and code tables."""
        groups = self.prior.parameter_groups(self.settings.weight_decay)
        return [AdamW(groups, self.settings.learning_rate, betas=(0.9, 0.99))]

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Nothing to prepare."""

    def batches(self, epoch: int) -> Iterator[CodeBatch]:
        """Every file once, in one of its views: the window at its beginning, and the others at new offsets."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        windows = list(self._train_windows(rng))
        order = rng.permutation(len(windows))
        for batch in range(self.steps_per_epoch):
            chosen = order[batch :: self.steps_per_epoch]
            made = make_batch([windows[i] for i in chosen], self.settings)
            masked = rng.random(made.codes.shape) < self.settings.token_masking
            yield made._replace(hidden=torch.from_numpy(masked))

    def items(self, batch: CodeBatch) -> int:
        """Tokens that are learned from."""
        return int((batch.targets != IGNORED).sum())

    def validate(self, device: torch.device) -> Judged:
        """Loss on the held-out files, and beside it the loss on training files, both in eval mode."""
        found = validate_prior_epoch(self.prior, self.sequences.val, device)
        known = validate_prior_epoch(self.prior, self.sequences.train_codes[:COMPARED_FILES], device)
        return Judged(found.loss, {"per_level": list(found.per_level), "known_loss": known.loss})

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

    def epoch_events(self, progressed: Progressed, judged: Judged, best: Best | None) -> Sequence[Event]:
        """One epoch."""
        known = judged.details["known_loss"]
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=known, val=judged.score))
        perplexity = compute_perplexity(judged.score)
        flag, message = check_memorization(perplexity, self.settings.codebook_size, self.file_count)
        metrics = PriorEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_loss=judged.score,
            train_perplexity=compute_perplexity(known),
            val_perplexity=perplexity,
            val_perplexity_per_level=tuple(judged.details["per_level"]),
            bits_per_code=judged.score / LN2,
            unigram_bits_per_code=self.baselines.unigram,
            ngram_bits_per_code=self.baselines.ngram,
            best_perplexity=compute_perplexity(best.judged.score) if best else math.inf,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            learning_rate=progressed.learning_rate,
            tokens_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
            overfitting_gap=overfitting_gap(judged),
            overfitting=is_overfitting(judged, best.judged if best else judged),
            memorization_flag=flag,
            memorization_message=message,
        )
        return [metrics]

    def keep(self, best: Best) -> None:
        """Put the best prior so far on the disk."""
        self.on_best(best)

    def progress(self) -> dict[str, Any]:
        """The curve so far."""
        return {"history": self.history.plain()}

    def restore_progress(self, progress: dict[str, Any]) -> None:
        """The inverse of `progress`."""
        self.history.restore(progress["history"])

    def _columns(self, codes: Tensor) -> int:
        return len(codes) // self.settings.bands

    def _train_windows(self, rng: np.random.Generator) -> Iterator[Window]:
        for views in self.sequences.train:
            view = views[int(rng.integers(len(views)))]
            columns = self._columns(view.codes)
            yield Window(view.codes, 0, min(columns, self.window), BOS if view.from_start else MID)
            for place in range(1, math.ceil(columns / self.window)):
                moved = place * self.window + int(rng.integers(-self.window + 1, self.window))
                yield Window(view.codes, min(max(moved, 1), columns - self.window), self.window, MID)


def compute_perplexity(loss: float) -> float:
    """exp of a loss in nats per token; capped, so that a diverged run still prints a number."""
    return math.exp(min(loss, 20.0))


def overfitting_gap(judged: Judged) -> float:
    """Bits per code that held-out sounds cost more than known ones."""
    gap: float = (judged.score - judged.details["known_loss"]) / LN2
    return gap


def is_overfitting(judged: Judged, best: Judged) -> bool:
    """Whether, since the best epoch, known sounds got clearly better and held-out ones clearly worse."""
    known_better = judged.details["known_loss"] < best.details["known_loss"]
    return known_better and judged.score > best.score + OVERFITTING_BITS * LN2


def train_prior_epoch(run: Run, stop: threading.Event | None = None) -> Generator[Event, None, float]:
    """One epoch of a prior, of a `Run` of a `PriorTask`, without validation: for a loop of one's own, and for measuring.

    `fit` goes through the same steps.

    Returns:
        The mean loss of its steps in nats per code; NaN if it was stopped before the first.
    """
    losses = yield from run.train_epoch(stop)
    return sum(losses) / len(losses) if losses else math.nan


@torch.no_grad()
def validate_prior_epoch(prior: CodePrior, sequences: Sequence[Tensor], device: torch.device) -> Perplexities:
    """Every code of every sequence predicted once, in windows laid end to end; accurate per token.

    Several processes each take a share of the windows and return the same figures.
    """
    prior.eval()
    settings = prior.config
    window = settings.seq_len // settings.bands
    windows = [
        Window(codes, first, min(window, len(codes) // settings.bands - first), MID if first else BOS)
        for codes in sequences
        for first in range(0, len(codes) // settings.bands, window)
    ]
    windows = list(share(sorted(windows, key=lambda place: place.columns)))
    sums, counts = torch.zeros(settings.rvq_levels).double(), torch.zeros(settings.rvq_levels).double()
    for first in range(0, len(windows), VALIDATION_BATCH):
        batch = make_batch(windows[first : first + VALIDATION_BATCH], settings)
        logits = prior(batch.codes.to(device), batch.start.to(device))[:, :-1]
        targets = batch.targets[:, :-1].to(device)
        targets = targets.masked_fill(targets == prior.eos, IGNORED)
        losses = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=IGNORED, reduction="none")
        sums += losses.view(-1, settings.rvq_levels).double().cpu().sum(0)
        counts += (targets != IGNORED).flatten(0, 1).double().cpu().sum(0)
    sums, counts = (summed(each, device).cpu() for each in (sums, counts))
    per_level = tuple(compute_perplexity(float(loss)) for loss in sums / counts.clamp_min(1))
    return Perplexities(float(sums.sum() / counts.sum()), per_level)


def train_prior(
    path: Path,
    codebooks: Tensor,
    sequences: CodeSequences,
    manifest: CorpusManifest,
    resolved: Resolved[PriorSettings],
    device: str = "auto",
    stop: threading.Event | None = None,
    embed_codes: bool = True,
    resume: bool = False,
    processes: Processes = ONE,
    texture: Tensor | None = None,
) -> Generator[Event, None, None]:
    """Train a prior for the codec in `path` and bundle it in place, the best epoch as it happens.

    Args:
        path: a `.distill` file; its codec's weights are passed on to the bit.
        codebooks: [Q, K, D], the codec's.
        sequences: the codes of the files that the codec was trained on, with the same split.
        manifest: what those files are.
        stop: set it to end the training after the current step, the best epoch kept.
        embed_codes: keep the codes in the file, so that the prior can be trained again without the recordings.
        resume: go on with the unfinished run of this model.
        processes: how many train together.
        texture: [M] dB, what decoded spectrograms lack of the recordings' grain; None: what the file says of it stays.

    Raises:
        DistillError: there is nothing to go on with, or the training was stopped before its first epoch ended.
    """
    settings = resolved.settings
    fabric = launch_fabric(device, settings.seed, processes)
    contents = read_contents(path, mapped=False)
    kept_codes = contents.get("codes", {})  # of files that are not there any more
    stage = Stage(PRIOR_STAGE, path, resolved, manifest, contents)

    def sections(trained: Trained) -> dict[str, Any]:
        return {
            "has_prior": True,
            "prior_state_dict": trained.weights("prior"),
            "prior_config": settings.architecture(),
            "prior_training_config": settings,
            "prior_metadata": describe_prior(trained, task, manifest),
            "has_codes": embed_codes,
            "codes": {**kept_codes, **pack_codes(sequences, manifest)} if embed_codes else {},
            **({} if texture is None else {"texture_db": texture.tolist()}),
        }

    task = PriorTask(
        sequences, codebooks, settings, lambda best: stage.save(task.history, sections(Trained.so_far(best)))
    )
    trained = yield from train_stage(stage, task, fabric, sections, stop, resume)
    found = describe_prior(trained, task, manifest)
    if found.bits_per_code >= task.baselines.best:
        yield Warned(task.baselines.not_beaten(found.bits_per_code))
    yield PriorTrainingCompleteEvent(
        model=str(path),
        stopped_early=trained.stopped_early,
        **found.model_dump(exclude=SAID_BEFORE),
    )


def describe_prior(trained: Trained, task: PriorTask, manifest: CorpusManifest) -> PriorMetadata:
    """What the model's file says of its prior."""
    best, settings = trained.best.judged, task.settings
    perplexity = compute_perplexity(best.score)
    flag, message = check_memorization(perplexity, settings.codebook_size, len(manifest.files))
    return PriorMetadata(
        epochs_trained=trained.epochs,
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
        num_heads=settings.num_heads,
        parameters=sum(p.numel() for p in task.prior.parameters()),
        best_epoch=trained.best.epoch,
        final_perplexity=compute_perplexity(trained.last.score),
        best_perplexity=perplexity,
        bits_per_code=best.score / LN2,
        unigram_bits_per_code=task.baselines.unigram,
        ngram_bits_per_code=task.baselines.ngram,
        overfitting_gap=overfitting_gap(best),
        tokens_per_second=trained.items_per_second,
        seconds=trained.seconds,
        memorization_flag=flag,
        memorization_message=message,
        training_date=datetime.now(UTC).isoformat(timespec="seconds"),
        corpus_digest=manifest.digest,
    )
