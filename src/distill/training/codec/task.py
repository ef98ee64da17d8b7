"""Stage 1: training the codec on crops, first as a plain autoencoder, then quantised."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from distill.audio.distance import audible_difference, weighed_difference
from distill.compute.shares import summed
from distill.corpus.manifest import CorpusFile
from distill.corpus.sounds import Corpus
from distill.events import (
    CodebookHealth,
    CodecEpochMetrics,
    CodecStepMetrics,
    Event,
    Warned,
)
from distill.modelfile.card import LossPoint
from distill.models.codec import SCALE_DB, ConvVQVAE, VQVAEOutput, valid_frames, valid_positions
from distill.models.encoding import PIECE_COLUMNS, level_of
from distill.settings.auto import epoch_crops
from distill.settings.codec import CodecSettings
from distill.settings.geometry import FRAMES_PER_COLUMN
from distill.training.codec.crops import CropBatch, CropSource
from distill.training.codec.health import COLLAPSED, judge_health
from distill.training.codec.preview import CodecPreviews
from distill.training.muon import Muon
from distill.training.run import Best, Progressed, Validation
from distill.training.stage import LossCurve
from distill.weights import start_from

KMEANS_LATENTS = 12_000
"""Latents that the codebooks start from, drawn from the whole training set."""
CODEBOOK_DECAYS = (0.97, 0.99)
"""Bounds of the decay of the codebooks' moving averages per step: small corpora the first, large ones the second."""


class CodecObjective(nn.Module):
    """The loss of a batch of crops, as one forward pass (so that Fabric can wrap it)."""

    usage: Tensor

    def __init__(self, codec: ConvVQVAE, commitment_weight: float, level_dropout: float = 0.0) -> None:
        super().__init__()
        self.codec = codec
        self.commitment_weight = commitment_weight
        self.level_dropout = level_dropout
        self.quantising = False
        shape = (codec.config.rvq_levels, codec.config.codebook_size + 1)
        self.register_buffer("usage", torch.zeros(shape, dtype=torch.long), persistent=False)

    def forward(self, batch: CropBatch) -> Tensor:
        mel, frames = batch
        if not self.quantising:
            return reconstruction_loss(self.codec.autoencode(mel, frames), mel, frames) / SCALE_DB
        kept_levels = self._kept_levels(len(frames)).to(frames.device) if self.level_dropout else None
        output: VQVAEOutput = self.codec(mel, frames, kept_levels)
        codes = output.codes.flatten(0, 1).T + 1  # [Q, B * S], 0: not valid
        self.usage.scatter_add_(1, codes, torch.ones_like(codes))
        loss = reconstruction_loss(output.mel, mel, frames) / SCALE_DB
        return loss + self.commitment_weight * output.commitment_loss

    def _kept_levels(self, crops: int) -> Tensor:
        """[B] levels that each crop is decoded from: a share of them from fewer than all (quantizer dropout)."""
        levels = self.codec.config.rvq_levels
        fewer = torch.randint(1, levels, (crops,))
        return torch.where(torch.rand(crops) < self.level_dropout, fewer, levels)

    def take_usage(self) -> Tensor:
        """How often each code was used since the last call, by all processes, [Q, K]."""
        counts = summed(self.usage)[:, 1:].cpu().clone()
        self.usage.zero_()
        return counts


def codebook_decay(steps_per_epoch: int) -> float:
    """Decay of the codebooks' moving averages: they reach back over about one epoch, within bounds."""
    fastest, slowest = CODEBOOK_DECAYS
    return min(max(1.0 - 1.0 / steps_per_epoch, fastest), slowest)


def reconstruction_loss(made: Tensor, mel: Tensor, frames: Tensor) -> Tensor:
    """Mean of `weighed_difference` in dB over the frames of sound [B, 1, M, T]; what comes after the end counts for nothing.

    A crop counts by the square root of its frames: between all crops alike and all frames alike.
    """
    valid = valid_frames(frames, mel.shape[-1])
    per_crop = weighed_difference(mel, made, valid).sum((1, 2, 3)) / (frames * mel.shape[-2])
    weight = frames.sqrt()
    mean: Tensor = (per_crop * weight).sum() / weight.sum()
    return mean


class CodecTask:
    """What `fit` needs to train a codec on a corpus."""

    average_decay = 0.99

    def __init__(
        self,
        corpus: Corpus,
        settings: CodecSettings,
        on_best: Callable[[Best], Sequence[Event] | None],
        previews: CodecPreviews | None = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`start`: weights to go on from, in place of those that the program ships."""
        self.corpus = corpus
        self.settings = settings
        self.on_best = on_best
        self.previews = previews
        self.previewed: list[Event] = self.previews.begin() if self.previews is not None else []
        self.warned = False
        self.epoch = 0
        self.source = CropSource(corpus)
        self.codec = ConvVQVAE(settings.architecture(), corpus.spectrogram)
        if start is not None:
            self.codec.load_state_dict(dict(start))
        elif settings.pretrained:
            start_from(self.codec, "codec")
        self.codec.typical_level_db.fill_(statistics.median(self.source.levels))
        self.objective = CodecObjective(self.codec, settings.commitment_weight, settings.level_dropout)
        self.epochs = settings.epochs
        self.patience = settings.patience
        self.first_quantised_epoch = 1 + min(round(settings.epochs * settings.warmup_share), settings.epochs - 1)
        self.history = LossCurve()
        crops = epoch_crops(corpus.manifest.facts().crops, settings.preset)
        self.steps_per_epoch = math.ceil(crops / settings.batch_size)
        self.codec.set_codebook_decay(codebook_decay(self.steps_per_epoch))

    def optimizers(self) -> list[Optimizer]:
        """Muon for the inner matrices, AdamW for the rest."""
        matrices = {name: p for name, p in self.objective.named_parameters() if _is_matrix(name, p)}
        others = [p for name, p in self.objective.named_parameters() if name not in matrices]
        return [
            Muon(matrices.values(), self.settings.matrix_learning_rate),
            AdamW(others, self.settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01),
        ]

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Start quantising when its time has come, from k-means over latents of the whole training set."""
        self.epoch = epoch
        if epoch < self.first_quantised_epoch or self.objective.quantising:
            return
        self.objective.eval()
        rng = np.random.default_rng((self.settings.seed, 0))
        latents: list[Tensor] = []
        crops, found = 0, 0
        while found < KMEANS_LATENTS and crops < 8 * self.steps_per_epoch * self.settings.batch_size:
            mel, frames = self.source.draw(self.settings.batch_size, rng)
            valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
            with torch.no_grad():
                latents.append(self.codec.encode(mel.to(device))[valid.to(device)].cpu())
            crops, found = crops + len(frames), found + len(latents[-1])
        self.codec.start_codebooks(torch.cat(latents), found / crops * self.settings.batch_size, self.settings.seed)
        self.objective.quantising = True

    def batches(self, epoch: int) -> Iterator[CropBatch]:
        """As many crops as the corpus holds, of a long one fewer, newly drawn."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        for _ in range(self.steps_per_epoch):
            yield self.source.draw(self.settings.batch_size, rng)

    def items(self, batch: CropBatch) -> int:
        """Crops."""
        return len(batch.frames)

    def validate(self, device: torch.device) -> Validation:
        """Mel error on the held-out files, and how the epoch used the codes."""
        quantising = self.objective.quantising
        score = mel_error(self.codec, self.corpus, self.corpus.manifest.val, device, quantising)
        health = judge_health(self.objective.take_usage()).to_dict() if quantising else None
        every = self.settings.preview_every
        if self.previews is not None and quantising and self.epoch % every == 0:
            self.previewed += self.previews.write(self.codec, self.epoch, device)
        return Validation(score, {"health": health}, eligible=quantising)

    def step_event(self, progressed: Progressed) -> Event:
        """One step."""
        p = progressed
        return CodecStepMetrics(
            p.epoch, p.step, p.total_steps, p.loss, p.learning_rate, p.seconds_left, self.objective.quantising
        )

    def epoch_events(self, progressed: Progressed, validation: Validation, best: Best | None) -> Sequence[Event]:
        """One epoch; after it, once, that codes go unused, and the preview if one was due."""
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=progressed.loss, val=validation.score))
        health = health_of(validation)
        metrics = CodecEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_mel_l1_db=validation.score,
            best_val_mel_l1_db=best.validation.score if best else math.inf,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            quantising=validation.eligible,
            crops_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
            health=health,
        )
        news: list[Event] = [metrics, *self.previewed]
        self.previewed.clear()
        if health is not None and health.verdict == COLLAPSED and not self.warned:
            self.warned = True
            news.append(Warned(f"Epoch {progressed.epoch}: {health.message}"))
        return news

    def keep(self, best: Best) -> Sequence[Event] | None:
        """Put the best codec so far on the disk."""
        return self.on_best(best)

    def progress(self) -> dict[str, Any]:
        """Whether quantisation has begun, and the curve so far."""
        return {"quantising": self.objective.quantising, "history": self.history.plain()}

    def restore_progress(self, progress: dict[str, Any]) -> None:
        """The inverse of `progress`."""
        self.objective.quantising = progress["quantising"]
        self.history.restore(progress["history"])


def health_of(validation: Validation) -> CodebookHealth | None:
    plain = validation.details["health"]
    return None if plain is None else CodebookHealth.from_dict(plain)


def _is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon is the optimiser for it: a matrix or kernel that is large both ways, not a table of offsets."""
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= 32 and "offset" not in name


@torch.no_grad()
def mel_error(
    codec: ConvVQVAE, corpus: Corpus, files: tuple[CorpusFile, ...], device: torch.device, quantising: bool = True
) -> float:
    """How far reconstructions are from held-out files: mean over files of the mean audible error in dB.

    |difference| of log-mels floored 60 dB under the file's loudest cell, over all bands and all frames (20 s at most).
    """
    errors = []
    for file in files:
        level = level_of(corpus.mel(file))
        mel = (
            torch.from_numpy(np.array(corpus.mel(file)[: PIECE_COLUMNS * FRAMES_PER_COLUMN], dtype=np.float32)) - level
        )
        padded = codec.pad_to_columns(mel.T.to(device))[None, None]
        frames = torch.tensor([len(mel)], device=device)
        made = codec(padded, frames).mel if quantising else codec.autoencode(padded, frames)
        errors.append(float(audible_difference(padded, made.clamp_max(0.0))[..., : len(mel)].mean()))
    return sum(errors) / len(errors)
