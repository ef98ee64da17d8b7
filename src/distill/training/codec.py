"""Stage 1: training the codec on crops, first as a plain autoencoder, then quantised."""

import math
import threading
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import distill
from distill.audio.corpus import Corpus, CorpusFile
from distill.bundle import HealthSnapshot, LossPoint, ModelMetadata, save_bundle
from distill.config import CodecSettings, Resolved
from distill.errors import DistillError
from distill.events import (
    CodecEpochMetrics,
    CodecStepMetrics,
    CodecTrainingCompleteEvent,
    Event,
    Saved,
    TrainingStarted,
)
from distill.models.encoding import PIECE_COLUMNS, encode_mel
from distill.models.vqvae import FRAMES_PER_COLUMN, ConvVQVAE, VQVAEOutput, valid_frames
from distill.training.fit import Best, Judged, Progressed, fit, launch_fabric
from distill.training.health import judge_health

KMEANS_LATENTS = 8192
"""Latents that the codebooks start from, drawn evenly from the whole training set."""
STATISTICS_FRAMES = 6000
"""Frames of each file (a minute) that the mel statistics are taken from."""


class CropBatch(NamedTuple):
    """Crops and how much of each is sound."""

    mel: Tensor  # [B, 1, M, T] dB
    frames: Tensor  # [B]


class CodecObjective(nn.Module):
    """The loss of a batch of crops, as one forward pass (so that Fabric can wrap it)."""

    usage: Tensor

    def __init__(self, codec: ConvVQVAE) -> None:
        super().__init__()
        self.codec = codec
        self.quantising = False
        shape = (codec.config.rvq_levels, codec.config.codebook_size + 1)
        self.register_buffer("usage", torch.zeros(shape, dtype=torch.long), persistent=False)

    def forward(self, batch: CropBatch) -> Tensor:
        mel, frames = batch
        if not self.quantising:
            return reconstruction_loss(self.codec.autoencode(mel, frames), mel, frames) / self.codec.mel_scale
        output: VQVAEOutput = self.codec(mel, frames)
        codes = output.codes.flatten(0, 1).T + 1  # [Q, B * S], 0: not valid
        self.usage.scatter_add_(1, codes, torch.ones_like(codes))
        return reconstruction_loss(output.mel, mel, frames) / self.codec.mel_scale + output.commitment_loss

    def take_usage(self) -> Tensor:
        """How often each code was used since the last call, [Q, K]."""
        counts = self.usage[:, 1:].cpu().clone()
        self.usage.zero_()
        return counts


def reconstruction_loss(made: Tensor, mel: Tensor, frames: Tensor) -> Tensor:
    """Mean |difference| in dB over the frames of sound; what comes after the end counts for nothing."""
    valid = valid_frames(frames, mel.shape[-1])
    total = ((made.float() - mel).abs() * valid).sum()
    mean: Tensor = total / (valid.sum() * mel.shape[-2])
    return mean


class CodecTask:
    """What `fit` needs to train a codec on a corpus."""

    average_decay = 0.99

    def __init__(self, corpus: Corpus, settings: CodecSettings, on_best: Callable[[Best], None]) -> None:
        self.corpus = corpus
        self.settings = settings
        self.on_best = on_best
        self.codec = ConvVQVAE(settings.architecture(), corpus.spectrogram, settings.commitment_weight)
        self.codec.set_mel_statistics(*mel_statistics(corpus))
        self.objective = CodecObjective(self.codec)
        self.epochs = settings.epochs
        self.learning_rate = settings.learning_rate
        self.first_quantised_epoch = 1 + min(round(settings.epochs * settings.warmup_share), settings.epochs - 1)
        self.crop_frames = corpus.spectrogram.crop_frames
        self.places = crop_places(corpus)
        self.history: list[LossPoint] = []
        self.steps_per_epoch = math.ceil(len(self.places) / settings.batch_size)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Weight decay on matrices only."""
        parameters = [p for p in self.objective.parameters() if p.requires_grad]
        return [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]

    def before_epoch(self, epoch: int, device: torch.device) -> None:
        """Start quantising when its time has come, from k-means over the latents of the whole training set."""
        if epoch < self.first_quantised_epoch or self.objective.quantising:
            return
        self.objective.eval()
        share = KMEANS_LATENTS / (len(self.places) * self.crop_frames / 2)
        chosen = []
        generator = torch.Generator().manual_seed(self.settings.seed)
        for file in self.corpus.manifest.train:
            latents = encode_mel(self.codec, self.corpus.mel(file), device).cpu()
            count = min(len(latents), math.ceil(len(latents) * share))
            chosen.append(latents[torch.randperm(len(latents), generator=generator)[:count]])
        self.codec.start_codebooks(torch.cat(chosen), self.settings.seed)
        self.objective.quantising = True

    def batches(self, epoch: int) -> Iterator[CropBatch]:
        """Every crop once, in new order, each moved to a new offset."""
        rng = np.random.default_rng((self.settings.seed, epoch))
        order = rng.permutation(len(self.places))
        for first in range(0, len(order), self.settings.batch_size):
            places = [self.places[i] for i in order[first : first + self.settings.batch_size]]
            crops = [self._crop(file, number, rng) for file, number in places]
            mel = torch.from_numpy(np.stack([crop for crop, _ in crops]))[:, None].transpose(2, 3).contiguous()
            yield CropBatch(mel, torch.tensor([frames for _, frames in crops]))

    def items(self, batch: CropBatch) -> int:
        """Crops."""
        return len(batch.frames)

    def validate(self, device: torch.device) -> Judged:
        """Mel error on the held-out files, and how the epoch used the codes."""
        quantising = self.objective.quantising
        score = mel_error(self.codec, self.corpus, self.corpus.manifest.val, device, quantising)
        health = judge_health(self.objective.take_usage()) if quantising else None
        return Judged(score, health, eligible=quantising)

    def step_event(self, progressed: Progressed) -> Event:
        """One step."""
        p = progressed
        return CodecStepMetrics(
            p.epoch, p.step, p.total_steps, p.loss, p.learning_rate, p.seconds_left, self.objective.quantising
        )

    def epoch_event(self, progressed: Progressed, judged: Judged, best: Best | None) -> Event:
        """One epoch."""
        self.history.append(LossPoint(epoch=progressed.epoch, train_loss=progressed.loss, val=judged.score))
        return CodecEpochMetrics(
            epoch=progressed.epoch,
            epochs=progressed.epochs,
            train_loss=progressed.loss,
            val_mel_l1_db=judged.score,
            best_val_mel_l1_db=best.judged.score if best else math.inf,
            best_epoch=best.epoch if best else 0,
            is_best=best is not None and best.epoch == progressed.epoch,
            quantising=judged.eligible,
            crops_per_second=progressed.items_per_second,
            seconds_left=progressed.seconds_left,
            health=judged.details,
        )

    def keep(self, best: Best) -> None:
        """Put the best codec so far on the disk."""
        self.on_best(best)

    def _crop(self, file: CorpusFile, number: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], int]:
        """Crop `number` of a file, moved by up to half a crop -> ([T, M] dB, frames of sound)."""
        mel = self.corpus.mel(file)
        room = max(0, len(mel) - self.crop_frames)
        shift = int(rng.integers(-self.crop_frames // 2, self.crop_frames // 2 + 1))
        first = min(max(number * self.crop_frames + shift, 0), room)
        sound = np.asarray(mel[first : first + self.crop_frames], dtype=np.float32)
        after = ((0, self.crop_frames - len(sound)), (0, 0))
        return np.pad(sound, after, constant_values=self.corpus.spectrogram.floor_db), len(sound)


def crop_places(corpus: Corpus) -> list[tuple[CorpusFile, int]]:
    """Every training file with the number of each of its crops; a short file has one."""
    crop_frames = corpus.spectrogram.crop_frames
    return [
        (file, number)
        for file in corpus.manifest.train
        for number in range(math.ceil(corpus.spectrogram.frames(file.samples) / crop_frames))
    ]


def mel_statistics(corpus: Corpus) -> tuple[Tensor, Tensor]:
    """Mean per band [M] and standard deviation around it (a scalar) of the training set's log-mel, in dB."""
    count, total, squares = 0, np.zeros(corpus.spectrogram.n_mels), np.zeros(corpus.spectrogram.n_mels)
    for file in corpus.manifest.train:
        mel = np.asarray(corpus.mel(file)[:STATISTICS_FRAMES], dtype=np.float64)
        count, total, squares = count + len(mel), total + mel.sum(0), squares + (mel**2).sum(0)
    mean = total / count
    variance = float((squares / count - mean**2).mean())
    return torch.from_numpy(mean).float(), torch.tensor(math.sqrt(max(variance, 1.0)))


@torch.no_grad()
def mel_error(
    codec: ConvVQVAE, corpus: Corpus, files: tuple[CorpusFile, ...], device: torch.device, quantising: bool = True
) -> float:
    """Mean over files of the mean |difference| in dB between a file's log-mel (20 s at most) and its reconstruction."""
    errors = []
    for file in files:
        mel = torch.from_numpy(np.array(corpus.mel(file)[: PIECE_COLUMNS * FRAMES_PER_COLUMN], dtype=np.float32)).T.to(
            device
        )
        padded = codec.pad_to_columns(mel)[None, None]
        frames = torch.tensor([mel.shape[-1]], device=device)
        made = codec(padded, frames).mel if quantising else codec.autoencode(padded, frames)
        errors.append(float(reconstruction_loss(made, padded, frames)))
    return sum(errors) / len(errors)


def train_codec(
    corpus: Corpus,
    resolved: Resolved[CodecSettings],
    path: Path,
    name: str,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Train a codec and save it at `path`, the best epoch as it happens.

    Args:
        path: the `.distill` file to write.
        name: the model's name, as shown in the library.
        stop: set it to end the training after the current step, the best epoch kept.

    Raises:
        DistillError: the training was stopped before there was anything to keep.
    """
    settings = resolved.settings
    fabric = launch_fabric(device, settings.seed)

    def write(best: Best, epochs: int, seconds: float) -> None:
        snapshot = HealthSnapshot.model_validate(best.judged.details.to_dict())
        prefix = "codec."
        save_bundle(
            path,
            {
                "model_state_dict": {k.removeprefix(prefix): v for k, v in best.state.items() if k.startswith(prefix)},
                "vqvae_config": settings.architecture(),
                "spectrogram_config": corpus.spectrogram,
                "training_config": settings,
                "settings_origin": {"codec": resolved.origin},
                "codebook_health_snapshot": snapshot,
                "loss_curve_history": {"codec": [point.model_dump() for point in task.history]},
                "corpus_manifest": corpus.manifest,
                "metadata": ModelMetadata(
                    name=name,
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    distill_version=distill.__version__,
                    epochs=epochs,
                    best_epoch=best.epoch,
                    val_mel_l1_db=best.judged.score,
                    seconds=seconds,
                ),
            },
        )

    task = CodecTask(corpus, settings, lambda best: write(best, best.epoch, 0.0))
    yield TrainingStarted(
        stage="codec",
        device=fabric.device.type,
        parameters=sum(p.numel() for p in task.codec.parameters()),
        epochs=settings.epochs,
        train_files=len(corpus.manifest.train),
        val_files=len(corpus.manifest.val),
        settings=settings.model_dump(),
        origin=dict(resolved.origin),
    )
    result = yield from fit(task, fabric, stop)
    if result.best is None:
        raise DistillError(
            "The training was stopped before the codec could be used, so nothing was saved. Run it again."
        )
    write(result.best, result.epochs, result.seconds)
    yield Saved(str(path), "model")
    yield CodecTrainingCompleteEvent(
        model=str(path),
        epochs=result.epochs,
        best_epoch=result.best.epoch,
        val_mel_l1_db=result.best.judged.score,
        health=result.best.judged.details,
        seconds=result.seconds,
        stopped_early=result.stopped_early,
    )
