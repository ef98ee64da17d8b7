"""Stage 2: training the prior and saving it. The codec is only read."""

import threading
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from distill.corpus.manifest import CorpusManifest
from distill.events import Event, PriorTrainingCompleteEvent, Warned
from distill.modelfile.card import PriorMetadata
from distill.settings.auto import Resolved
from distill.settings.prior import PriorSettings
from distill.training.prior.codes import CodeSequences, pack_codes
from distill.training.prior.memorization import check_memorization
from distill.training.prior.task import PriorTask
from distill.training.prior.validation import LN2, compute_perplexity, overfitting_gap
from distill.training.stage import BestEpochs, ModelInTraining, Stage, Trained, train_stage
from distill.training.unfinished import UnfinishedRun

PRIOR_STAGE = "prior"


SAID_BEFORE = {"training_date", "corpus_digest", "hidden_size", "num_layers", "num_heads", "parameters"}
"""Parts of the metadata that `TrainingStarted` and the model's file say, not the last event."""


def train_prior(
    model: ModelInTraining,
    codebooks: Tensor,
    sequences: CodeSequences,
    manifest: CorpusManifest,
    resolved: Resolved[PriorSettings],
    fabric: Fabric,
    stop: threading.Event | None = None,
    embed_codes: bool = True,
    resumed: UnfinishedRun | None = None,
    beside: Mapping[str, Any] = {},
) -> Generator[Event, None, None]:
    """Train a prior for the codec in a file and save it in the same file, the best epoch as it happens.

    Args:
        model: an opened `.distill` file; its codec's weights are passed on to the bit.
        codebooks: [Q, K, D], the codec's.
        sequences: the codes of the files that the codec was trained on, with the same split.
        manifest: what those files are.
        stop: set it to end the training after the current step, the best epoch kept.
        embed_codes: keep the codes in the file, so that the prior can be trained again without the recordings.
        resumed: the run to go on with.
        beside: further keys of the file, learned from the same codes (`training.prior.beside`).

    Raises:
        DistillError: the run that is resumed is not one of this training, the training was stopped before its first
            epoch ended, or that cannot be saved.
    """
    assert model.opened is not None
    settings = resolved.settings
    fabric.seed_everything(settings.seed, verbose=False)  # whatever was drawn while the sounds were encoded
    kept_codes = model.opened.codes  # of files that are not there any more
    stage = Stage(PRIOR_STAGE, model, resolved, manifest, resumed)

    def sections(trained: Trained) -> dict[str, Any]:
        return {
            "has_prior": True,
            "prior_state_dict": trained.weights("prior"),
            "prior_config": settings.architecture(),
            "prior_training_config": settings,
            "prior_metadata": describe_prior(trained, task, manifest),
            "has_codes": embed_codes,
            "codes": {**kept_codes, **pack_codes(sequences, manifest)} if embed_codes else {},
            **beside,
        }

    best_epochs = BestEpochs(stage, sections)
    task = PriorTask(sequences, codebooks, settings, lambda best: best_epochs.keep(task.history, best))
    trained = yield from train_stage(stage, task, fabric, sections, stop)
    found = describe_prior(trained, task, manifest)
    if found.bits_per_code >= task.baselines.best:
        yield Warned(task.baselines.not_beaten(found.bits_per_code))
    yield PriorTrainingCompleteEvent(
        model=str(model.path),
        stopped_early=trained.stopped_early,
        **found.model_dump(exclude=SAID_BEFORE),
    )


def describe_prior(trained: Trained, task: PriorTask, manifest: CorpusManifest) -> PriorMetadata:
    """What the model's file says of its prior."""
    best, settings = trained.best.validation, task.settings
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
