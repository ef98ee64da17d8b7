"""Stage 3: fitting the synthesiser and saving it."""

import threading
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from lightning_fabric import Fabric

from distill.corpus.sounds import Corpus
from distill.events import (
    Event,
    SynthesiserTrainingCompleteEvent,
    Warned,
)
from distill.modelfile.card import SynthesiserMetadata
from distill.settings.auto import Resolved
from distill.settings.synthesiser import SynthesiserSettings
from distill.training.stage import BestEpochs, ModelInTraining, Stage, Trained, train_stage
from distill.training.synthesiser.task import HeldOut, SynthesiserTask, held_out_sounds
from distill.training.synthesiser.waveforms import WaveformSource, decoded_to, temporary_samples
from distill.training.unfinished import UnfinishedRun

SYNTHESISER_STAGE = "synthesiser"


def train_synthesiser(
    model: ModelInTraining,
    corpus: Corpus,
    resolved: Resolved[SynthesiserSettings],
    fabric: Fabric,
    stop: threading.Event | None = None,
    resumed: UnfinishedRun | None = None,
) -> Generator[Event, None, None]:
    """Fit a synthesiser to the corpus and save it in the same file, the best epoch as it happens.

    It is judged on the held-out files; if it is no better there than the shipped one, the file stays as it is.

    Args:
        model: an opened `.distill` file; all else in it is passed on to the bit.
        corpus: the sounds that the codec was trained on, with the same split.
        stop: set it to end the training after the current step, the best epoch kept.
        resumed: the run to go on with.

    Raises:
        DistillError: a sound is gone, the run that is resumed is not one of this training, the training was stopped
            before its first epoch ended, or it cannot be saved.
    """
    settings = resolved.settings
    stage = Stage(SYNTHESISER_STAGE, model, resolved, corpus.manifest, resumed)

    def sections(trained: Trained) -> dict[str, Any]:
        return {
            "has_synthesiser": True,
            "synthesiser_state_dict": trained.weights("network"),
            "synthesiser_config": settings.architecture(),
            "synthesiser_training_config": settings,
            "synthesiser_metadata": SynthesiserMetadata(
                epochs=trained.epochs,
                best_epoch=trained.best.epoch,
                val_mrstft=trained.best.validation.score,
                shipped_val_mrstft=task.shipped_score,
                seconds=trained.seconds,
                training_date=datetime.now(UTC).isoformat(timespec="seconds"),
                corpus_digest=corpus.manifest.digest,
            ),
        }

    with temporary_samples() as stream:
        source = WaveformSource(decoded_to(stream, corpus), corpus.spectrogram)
        held_out = HeldOut(held_out_sounds(corpus), corpus.spectrogram)
        best_epochs = BestEpochs(stage, sections)
        task = SynthesiserTask(source, held_out, settings, lambda best: best_epochs.keep(task.history, best))
        trained = yield from train_stage(stage, task, fabric, sections, stop, task.is_better)
    score, shipped = trained.best.validation.score, task.shipped_score
    kept = task.is_better(trained.best)
    if not kept:
        yield Warned(
            f"On the held-out sounds the synthesiser is no better after this training ({score:.3f}) than the one that "
            f"every model has ({shipped:.3f}): {model.path.name} stays as it is."
        )
    yield SynthesiserTrainingCompleteEvent(
        model=str(model.path),
        epochs=trained.epochs,
        best_epoch=trained.best.epoch,
        val_mrstft=score,
        shipped_val_mrstft=shipped,
        kept=kept,
        seconds=trained.seconds,
        stopped_early=trained.stopped_early,
    )
