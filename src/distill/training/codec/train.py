"""Stage 1: training the codec and saving it."""

import threading
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import distill
from distill.compute.fabric import launch_fabric
from distill.compute.processes import ONE, Processes
from distill.corpus.sounds import Corpus
from distill.events import CodecTrainingCompleteEvent, Event
from distill.modelfile.card import HealthSnapshot, ModelMetadata
from distill.settings.auto import Resolved
from distill.settings.codec import CodecSettings
from distill.training.codec.preview import CodecPreviews
from distill.training.codec.task import CodecTask, health_of
from distill.training.stage import Stage, Trained, train_stage

CODEC_STAGE = "codec"


def train_codec(
    corpus: Corpus,
    resolved: Resolved[CodecSettings],
    path: Path,
    name: str,
    device: str = "auto",
    stop: threading.Event | None = None,
    resume: bool = False,
    processes: Processes = ONE,
) -> Generator[Event, None, None]:
    """Train a codec and save it at `path`, the best epoch as it happens.

    Args:
        path: the `.distill` file to write.
        name: the model's name, as shown in the library.
        stop: set it to end the training after the current step, the best epoch kept.
        resume: go on with the unfinished run of this model.
        processes: how many train together.

    Raises:
        DistillError: there is nothing to go on with, or the training was stopped before there was anything to keep.
    """
    settings = resolved.settings
    fabric = launch_fabric(device, settings.seed, processes)
    stage = Stage(CODEC_STAGE, path, resolved, corpus.manifest)

    def sections(trained: Trained) -> dict[str, Any]:
        return {
            "model_state_dict": trained.weights("codec"),
            "vqvae_config": settings.architecture(),
            "spectrogram_config": corpus.spectrogram,
            "training_config": settings,
            "codebook_health_snapshot": HealthSnapshot.model_validate(trained.best.validation.details["health"]),
            "corpus_manifest": corpus.manifest,
            "metadata": ModelMetadata(
                name=name,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                distill_version=distill.__version__,
                epochs=trained.epochs,
                best_epoch=trained.best.epoch,
                val_mel_l1_db=trained.best.validation.score,
                seconds=trained.seconds,
            ),
        }

    previews = CodecPreviews(corpus, path, CODEC_STAGE) if fabric.is_global_zero and settings.preview_every else None
    task = CodecTask(corpus, settings, lambda best: stage.save(task.history, sections(Trained.so_far(best))), previews)
    trained = yield from train_stage(stage, task, fabric, sections, stop, resume)
    yield CodecTrainingCompleteEvent(
        model=str(path),
        epochs=trained.epochs,
        best_epoch=trained.best.epoch,
        val_mel_l1_db=trained.best.validation.score,
        health=health_of(trained.best.validation),
        seconds=trained.seconds,
        stopped_early=trained.stopped_early,
    )
