"""Stage 2: training the prior on the codes of the codec's own corpus. The codec is only read."""

import math
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from distill.audio.corpus import Corpus
from distill.bundle import LossPoint, PriorMetadata, load_bundle, read_contents, save_bundle
from distill.config import PriorSettings, Resolved
from distill.errors import DistillError
from distill.events import (
    Event,
    PriorEpochMetrics,
    PriorStepMetrics,
    PriorTrainingCompleteEvent,
    Saved,
    TrainingStarted,
    Warned,
)
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.training.codes import CodeSequences, extract_code_sequences
from distill.training.fit import Best, Judged, Progressed, fit, launch_fabric
from distill.training.memorization import check_memorization

VALIDATION_BATCH = 32


class Window(NamedTuple):
    """A place in the corpus: columns first .. first + columns - 1 of one sequence of codes."""

    sequence: int
    first: int
    columns: int


class CodeBatch(NamedTuple):
    """Windows as the prior reads them, and what it should say."""

    codes: Tensor  # [B, S, Q], 0 after the end
    start: Tensor  # [B], BOS or MID
    targets: Tensor  # [B, S + 1, Q], IGNORED after the end
    hidden: Tensor  # [B, S, Q] bool, past codes the prior must do without


class Perplexities(NamedTuple):
    """How well the prior predicts a set of codes; EOS is left out, so that bits are bits per code."""

    loss: float  # nats per code, summed loss over summed codes
    per_level: tuple[float, ...]  # perplexity of each level


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
        self.train = sequences.train
        self.val = sequences.val
        self.prior = CodePrior(settings.architecture(), codebooks)
        self.objective = PriorObjective(self.prior)
        self.epochs = settings.epochs
        self.learning_rate = settings.learning_rate
        self.window = settings.seq_len // settings.bands
        self.windows = sum(math.ceil(self._columns(codes) / self.window) for codes in self.train)
        self.steps_per_epoch = math.ceil(self.windows / settings.batch_size)
        self.file_count = len(self.train) + len(self.val)
        self.history: list[LossPoint] = []

    def optimizers(self) -> list[Optimizer]:
        """AdamW; weight decay on matrices and code tables."""
        groups = self.prior.parameter_groups(self.settings.weight_decay)
        return [AdamW(groups, self.settings.learning_rate, betas=(0.9, 0.99))]

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Nothing to prepare."""

    def batches(self, epoch: int) -> Iterator[CodeBatch]:
        """Every file's codes once: the window at its beginning, and the others at new offsets."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        windows = list(self._train_windows(rng))
        order = rng.permutation(len(windows))
        for first in range(0, len(order), self.settings.batch_size):
            batch = make_batch(
                [windows[i] for i in order[first : first + self.settings.batch_size]], self.train, self.settings
            )
            masked = rng.random(batch.codes.shape) < self.settings.token_masking
            yield batch._replace(hidden=torch.from_numpy(masked))

    def items(self, batch: CodeBatch) -> int:
        """Tokens that are learned from."""
        return int((batch.targets != IGNORED).sum())

    def validate(self, device: torch.device) -> Judged:
        """Loss on the held-out files."""
        found = validate_prior_epoch(self.prior, self.val, device)
        return Judged(found.loss, found)

    def step_event(self, progressed: Progressed) -> Event:
        """One step."""
        p = progressed
        return PriorStepMetrics(
            p.epoch, p.step, p.total_steps, p.loss, p.learning_rate, p.seconds_left, p.items_per_second
        )

    def epoch_event(self, progressed: Progressed, judged: Judged, best: Best | None) -> Event:
        """One epoch."""
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=progressed.loss, val=judged.score))
        perplexity = compute_perplexity(judged.score)
        flag, message = check_memorization(perplexity, self.settings.codebook_size, self.file_count)
        return PriorEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_loss=judged.score,
            train_perplexity=compute_perplexity(progressed.loss),
            val_perplexity=perplexity,
            val_perplexity_per_level=judged.details.per_level,
            bits_per_code=judged.score / math.log(2.0),
            best_perplexity=compute_perplexity(best.judged.score) if best else math.inf,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            learning_rate=progressed.learning_rate,
            tokens_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
            memorization_flag=flag,
            memorization_message=message,
        )

    def keep(self, best: Best) -> None:
        """Put the best prior so far on the disk."""
        self.on_best(best)

    def _columns(self, codes: Tensor) -> int:
        return len(codes) // self.settings.bands

    def _train_windows(self, rng: np.random.Generator) -> Iterator[Window]:
        for number, codes in enumerate(self.train):
            columns = self._columns(codes)
            yield Window(number, 0, min(columns, self.window))
            for place in range(1, math.ceil(columns / self.window)):
                moved = place * self.window + int(rng.integers(-self.window + 1, self.window))
                first = min(max(moved, 1), columns - self.window)
                yield Window(number, first, self.window)


def compute_perplexity(loss: float) -> float:
    """exp of a loss in nats per token; capped, so that a diverged run still prints a number."""
    return math.exp(min(loss, 20.0))


def make_batch(windows: Sequence[Window], sequences: Sequence[Tensor], settings: PriorSettings) -> CodeBatch:
    """Windows as one batch. The target after the last code of a file is EOS; inside a file there is none."""
    longest = max(window.columns for window in windows) * settings.bands
    codes = torch.zeros(len(windows), longest, settings.rvq_levels, dtype=torch.long)
    targets = torch.full((len(windows), longest + 1, settings.rvq_levels), IGNORED)
    start = torch.tensor([MID if window.first else BOS for window in windows])
    for row, (number, first, columns) in enumerate(windows):
        last = (first + columns) * settings.bands
        found = sequences[number][first * settings.bands : last]
        codes[row, : len(found)] = found
        targets[row, : len(found)] = found
        if last == len(sequences[number]):
            targets[row, len(found), 0] = settings.codebook_size
    return CodeBatch(codes, start, targets, torch.zeros_like(codes, dtype=torch.bool))


@torch.no_grad()
def validate_prior_epoch(prior: CodePrior, sequences: Sequence[Tensor], device: torch.device) -> Perplexities:
    """Every code of every sequence predicted once, in windows laid end to end; accurate per token."""
    prior.eval()
    settings = PriorSettings(**prior.config.model_dump())
    window = settings.seq_len // settings.bands
    windows = [
        Window(number, first, min(window, len(codes) // settings.bands - first))
        for number, codes in enumerate(sequences)
        for first in range(0, len(codes) // settings.bands, window)
    ]
    windows.sort(key=lambda place: place.columns)
    sums, counts = torch.zeros(settings.rvq_levels).double(), torch.zeros(settings.rvq_levels).double()
    for first in range(0, len(windows), VALIDATION_BATCH):
        batch = make_batch(windows[first : first + VALIDATION_BATCH], sequences, settings)
        logits = prior(batch.codes.to(device), batch.start.to(device))[:, :-1]
        targets = batch.targets[:, :-1].to(device)
        targets = targets.masked_fill(targets == prior.eos, IGNORED)
        losses = F.cross_entropy(logits.flatten(0, 2), targets.flatten(), ignore_index=IGNORED, reduction="none")
        sums += losses.view(-1, settings.rvq_levels).double().cpu().sum(0)
        counts += (targets != IGNORED).flatten(0, 1).double().cpu().sum(0)
    per_level = tuple(compute_perplexity(float(loss)) for loss in sums / counts.clamp_min(1))
    return Perplexities(float(sums.sum() / counts.sum()), per_level)


def unigram_bits(train: Sequence[Tensor], val: Sequence[Tensor], codebook_size: int) -> float:
    """Bits per code of guessing by how often each code of a level was seen in training (add 0.5)."""
    total = 0.0
    heard, asked = torch.cat(list(train)), torch.cat(list(val))
    for level in range(heard.shape[1]):
        counts = torch.bincount(heard[:, level], minlength=codebook_size).double() + 0.5
        total -= float((counts / counts.sum()).log2()[asked[:, level]].mean())
    return total / heard.shape[1]


def train_prior(
    path: Path,
    corpus: Corpus,
    resolved: Resolved[PriorSettings],
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Train a prior for the codec in `path` and bundle it in place, the best epoch as it happens.

    Args:
        path: a `.distill` file; its codec's weights are passed on to the bit.
        corpus: the files the codec was trained on, with the same split.
        stop: set it to end the training after the current step, the best epoch kept.
    """
    settings = resolved.settings
    fabric = launch_fabric(device, settings.seed)
    codec = load_bundle(path, fabric.device).codec
    contents = read_contents(path, mapped=False)
    sequences = yield from extract_code_sequences(codec, corpus, fabric.device)
    unigram = unigram_bits(sequences.train, sequences.val, settings.codebook_size)

    def write(best: Best, last_loss: float, epochs: int, seconds: float, tokens_per_second: float) -> None:
        perplexity = compute_perplexity(best.judged.score)
        flag, message = check_memorization(perplexity, settings.codebook_size, task.file_count)
        prefix = "prior."
        history = dict(contents["loss_curve_history"], prior=[point.model_dump() for point in task.history])
        save_bundle(
            path,
            {
                **contents,
                "has_prior": True,
                "prior_state_dict": {k.removeprefix(prefix): v for k, v in best.state.items() if k.startswith(prefix)},
                "prior_config": settings.architecture(),
                "prior_training_config": settings,
                "settings_origin": dict(contents["settings_origin"], prior=resolved.origin),
                "loss_curve_history": history,
                "prior_metadata": PriorMetadata(
                    epochs_trained=epochs,
                    best_epoch=best.epoch,
                    final_perplexity=compute_perplexity(last_loss),
                    best_perplexity=perplexity,
                    bits_per_code=best.judged.score / math.log(2.0),
                    unigram_bits_per_code=unigram,
                    tokens_per_second=tokens_per_second,
                    seconds=seconds,
                    memorization_flag=flag,
                    memorization_message=message,
                    training_date=datetime.now(UTC).isoformat(timespec="seconds"),
                    corpus_digest=corpus.manifest.digest,
                ),
            },
        )

    task = PriorTask(
        sequences, codec.codebooks(), settings, lambda best: write(best, best.judged.score, best.epoch, 0.0, 0.0)
    )
    yield TrainingStarted(
        stage="prior",
        device=fabric.device.type,
        parameters=sum(p.numel() for p in task.prior.parameters()),
        epochs=settings.epochs,
        train_files=len(sequences.train),
        val_files=len(sequences.val),
        settings=settings.model_dump(),
        origin=dict(resolved.origin),
    )
    result = yield from fit(task, fabric, stop)
    if result.best is None or result.last is None:
        raise DistillError(
            "The training was stopped before its first epoch ended, so no prior was saved. Run it again."
        )
    write(result.best, result.last.score, result.epochs, result.seconds, result.items_per_second)
    yield Saved(str(path), "model")
    best_bits = result.best.judged.score / math.log(2.0)
    if best_bits >= unigram:
        yield Warned(
            f"The prior predicts held-out sounds no better ({best_bits:.2f} bits per code) than counting codes does "
            f"({unigram:.2f}): what it generates will be close to random. More recordings or more --epochs may help."
        )
    perplexity = compute_perplexity(result.best.judged.score)
    flag, message = check_memorization(perplexity, settings.codebook_size, task.file_count)
    yield PriorTrainingCompleteEvent(
        model=str(path),
        epochs_trained=result.epochs,
        best_epoch=result.best.epoch,
        best_perplexity=perplexity,
        final_perplexity=compute_perplexity(result.last.score),
        bits_per_code=best_bits,
        unigram_bits_per_code=unigram,
        memorization_flag=flag,
        memorization_message=message,
        tokens_per_second=result.items_per_second,
        seconds=result.seconds,
        stopped_early=result.stopped_early,
    )
