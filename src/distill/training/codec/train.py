"""Stage 1: training the codec and saving it."""

import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

import distill
from distill.corpus.sounds import Corpus
from distill.events import CodecTrainingCompleteEvent, Event
from distill.modelfile.card import HealthSnapshot, ModelMetadata
from distill.models.image import ImageCodebook
from distill.settings.auto import Resolved
from distill.settings.codec import CodecSettings
from distill.training.codec.image import corpus_image
from distill.training.codec.preview import CodecPreviews
from distill.training.codec.task import CodecTask, health_of
from distill.training.stage import BestEpochs, ModelInTraining, Stage, Trained, train_stage
from distill.training.unfinished import UnfinishedRun

CODEC_STAGE = "codec"


def train_codec(
    model: ModelInTraining,
    corpus: Corpus,
    resolved: Resolved[CodecSettings],
    fabric: Fabric,
    stop: threading.Event | None = None,
    resumed: UnfinishedRun | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Generator[Event, None, None]:
    """Train a codec and save it, the best epoch as it happens.

    Args:
        model: the `.distill` file to make.
        stop: set it to end the training after the current step, the best epoch kept.
        resumed: the run to go on with.
        start: weights of a codec to go on from, in place of those that the program ships.

    Raises:
        DistillError: the run that is resumed is not one of this training, the training was stopped before there was
            anything to keep, or that cannot be saved.
    """
    settings = resolved.settings
    created = datetime.now(UTC).isoformat(timespec="seconds") if resumed is None else resumed.created
    stage = Stage(CODEC_STAGE, model, resolved, corpus.manifest, resumed, created)

    def sections(trained: Trained) -> dict[str, Any]:
        return {
            "model_state_dict": trained.weights("codec"),
            "vqvae_config": settings.architecture(),
            "spectrogram_config": corpus.spectrogram,
            "training_config": settings,
            **({} if image is None else _image_sections(image)),
            "codebook_health_snapshot": HealthSnapshot.model_validate(trained.best.validation.details["health"]),
            "corpus_manifest": corpus.manifest,
            "metadata": ModelMetadata(
                name=model.path.stem,
                created=created,
                distill_version=distill.__version__,
                epochs=trained.epochs,
                best_epoch=trained.best.epoch,
                val_mel_l1_db=trained.best.validation.score,
                seconds=trained.seconds,
            ),
        }

    image = corpus_image(corpus, settings.codebook_size, settings.seed) if corpus.manifest.stereo else None
    shown = fabric.is_global_zero and settings.preview_every
    previews = CodecPreviews(corpus, model.path, CODEC_STAGE) if shown else None
    best_epochs = BestEpochs(stage, sections)
    task = CodecTask(corpus, settings, lambda best: best_epochs.keep(task.history, best), previews, start)
    trained = yield from train_stage(stage, task, fabric, sections, stop)
    yield CodecTrainingCompleteEvent(
        model=str(model.path),
        epochs=trained.epochs,
        best_epoch=trained.best.epoch,
        val_mel_l1_db=trained.best.validation.score,
        health=health_of(trained.best.validation),
        seconds=trained.seconds,
        stopped_early=trained.stopped_early,
    )


def _image_sections(image: ImageCodebook) -> dict[str, Any]:
    return {
        "image_size": len(image.vectors),
        "image_columns": image.shared_columns,
        "image_state_dict": image.state_dict(),
    }
