"""Stage 2: training the prior and saving it. The codec is only read."""

import math
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from distill.corpus.manifest import CorpusManifest
from distill.events import Event, PriorStepMetrics, PriorTrainingCompleteEvent, TrainingStarted, Warned
from distill.modelfile.card import KeptEpoch, ModelCard, PriorMetadata, RacedPrior
from distill.models.prior import CodePrior
from distill.settings.auto import Resolved
from distill.settings.prior import PriorSettings, PriorSize
from distill.training.prior.beside import learned_scales, settled
from distill.training.prior.codes import CodeSequences, pack_codes
from distill.training.prior.memorization import judge_memorization
from distill.training.prior.race import Raced, race_sizes
from distill.training.prior.task import AS_GOOD, Newest, PriorTask
from distill.training.prior.validation import LN2, compute_perplexity, overfitting_gap
from distill.training.run import Best
from distill.training.stage import BestEpochs, ModelInTraining, Stage, Trained, train_stage
from distill.training.unfinished import UnfinishedRun

PRIOR_STAGE = "prior"


SAID_BEFORE = {
    "training_date", "corpus_digest", "hidden_size", "num_layers", "num_heads", "parameters", "race", "newest", "in_force",
}  # fmt: skip
"""Parts of the metadata that earlier events and the model's file say, not the last event."""
IN_RACE = "in race"
"""In the state of an unfinished run: it was put down before a size was chosen, so that the race is run again."""


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
    sizes: Sequence[PriorSize] = (),
    at_the_end: bool = False,
    copied: Callable[[CodePrior], float] | None = None,
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
        sizes: sizes that race, if the corpus is to choose one (`training.prior.race`).
        at_the_end: write the file once, when the training is over or stopped; till then nothing is put down anywhere.
        copied: which share of the new sounds of a prior holds too much of the recordings; asked every few epochs.

    Raises:
        DistillError: the run that is resumed is not one of this training, the training was stopped before its first
            epoch ended, or that cannot be saved.
    """
    assert model.opened is not None
    resolved = settled(resolved, sequences, resumed is not None)
    fabric.seed_everything(resolved.settings.seed, verbose=False)  # whatever was drawn while the sounds were encoded
    kept_codes = model.opened.codes  # of files that are not there any more
    codes = {**kept_codes, **pack_codes(sequences, manifest)} if embed_codes else {}
    scales = learned_scales(sequences)
    stage = Stage(PRIOR_STAGE, model, resolved, manifest, resumed, put_down=not at_the_end)
    raced: Raced | None = None
    before = () if resumed is None else _race_of(model.opened.card, resolved.settings)
    lowest = math.inf

    def sections(task: PriorTask, trained: Trained) -> dict[str, Any]:
        newest = _newest(trained, task)
        return {
            "has_prior": True,
            "prior_state_dict": trained.weights("prior"),
            "prior_config": task.settings.architecture(),
            "prior_training_config": task.settings,
            "prior_metadata": describe_prior(trained, task, manifest, raced, before),
            "newest_prior_state_dict": {} if newest is None else newest.state,
            "has_codes": embed_codes,
            "codes": codes,
            **scales,
            **beside,
        }

    def new_task(settings: PriorSettings) -> PriorTask:
        own = replace(stage, resolved=Resolved(settings, resolved.origin))
        kept = BestEpochs(own, lambda trained: sections(task, trained))

        def keep(best: Best) -> Sequence[Event]:
            nonlocal lowest
            if at_the_end or best.validation.score >= lowest:  # while several sizes race
                return []
            lowest = best.validation.score
            return kept.keep(task.history, best)

        task = PriorTask(sequences, codebooks, settings, keep, copied)
        return task

    if sizes and (resumed is None or IN_RACE in resumed.state):
        stage, raced = yield from _race_first(stage, sizes, new_task, fabric, stop)
        lowest = math.inf  # the winner's epochs count now, whoever was ahead
    task = new_task(stage.resolved.settings)
    training = train_stage(stage, task, fabric, lambda trained: sections(task, trained), stop)
    trained = yield from training if raced is None else _after_race(training, raced)
    found = describe_prior(trained, task, manifest, raced, before)
    if found.bits_per_code >= task.baselines.best:
        yield Warned(task.baselines.not_beaten(found.bits_per_code))
    yield PriorTrainingCompleteEvent(
        model=str(model.path),
        stopped_early=trained.stopped_early,
        newest_epoch=None if found.newest is None else found.newest.epoch,
        **found.model_dump(exclude=SAID_BEFORE),
    )


def _race_first(
    stage: Stage,
    sizes: Sequence[PriorSize],
    new_task: Callable[[PriorSettings], PriorTask],
    fabric: Fabric,
    stop: threading.Event | None,
) -> Generator[Event, None, tuple[Stage, Raced]]:
    """Let sizes race -> the stage as the winner goes on with it, from where it stands, and what the race leaves."""
    checkpoints = stage.checkpoints()
    checkpoints.load()  # whether it is of this training: what is to be resumed is the race itself
    if fabric.is_global_zero:
        yield from checkpoints.save({IN_RACE: True})
    raced = yield from race_sizes(sizes, stage.resolved.settings, new_task, fabric, stop)
    winning = replace(stage, resolved=Resolved(raced.settings, stage.resolved.origin))
    return replace(winning, resumed=UnfinishedRun(**winning.checkpoints().about, state=raced.state)), raced


def _race_of(card: ModelCard, settings: PriorSettings) -> tuple[RacedPrior, ...]:
    """The race, as the file says, in which the size of a run was chosen that is resumed after it."""
    race = () if card.prior_metadata is None else card.prior_metadata.race
    size = settings.hidden_size, settings.num_layers, settings.num_heads
    won = any(each.goes_on and size == (each.hidden_size, each.num_layers, each.num_heads) for each in race)
    return race if won else ()


def _after_race(training: Generator[Event, None, Trained], raced: Raced) -> Generator[Event, None, Trained]:
    """The winner's training, with what was said of it in the race where it begins, and steps counted on from there."""
    while True:
        try:
            event = next(training)
        except StopIteration as end:
            trained: Trained = end.value
            return trained
        if isinstance(event, PriorStepMetrics):
            event = replace(event, step=event.step + raced.steps, total_steps=event.total_steps + raced.steps)
        yield event
        if isinstance(event, TrainingStarted):
            yield from raced.said


def _newest(trained: Trained, task: PriorTask) -> Newest | None:
    """The epoch that is kept beside the best one; None where that is the newest itself."""
    newest = task.newest
    as_good = newest is not None and newest.score <= trained.best.validation.score + math.log(AS_GOOD)
    return newest if as_good and newest is not None and newest.epoch != trained.best.epoch else None


def describe_prior(
    trained: Trained,
    task: PriorTask,
    manifest: CorpusManifest,
    raced: Raced | None = None,
    race: tuple[RacedPrior, ...] = (),
) -> PriorMetadata:
    """What the model's file says of its prior.

    Args:
        raced: the race that came first.
        race: where that was in the run that is resumed, what the file says of it.
    """
    if raced is not None:
        race = tuple(RacedPrior(**asdict(size)) for size in raced.last.sizes)
    best, settings = trained.best.validation, task.settings
    perplexity = compute_perplexity(best.score)
    interval, newest = tuple(best.details["gap_interval"]), _newest(trained, task)
    flag, message = judge_memorization(
        interval, task.last_copied, perplexity, settings.codebook_size, len(manifest.files)
    )
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
        overfitting_gap_interval=interval,
        copied=task.last_copied,
        newest=None
        if newest is None
        else KeptEpoch(epoch=newest.epoch, perplexity=compute_perplexity(newest.score), copied=newest.copied),
        tokens_per_second=trained.items_per_second,
        seconds=trained.seconds + (0.0 if raced is None else raced.seconds),
        memorization_flag=flag,
        memorization_message=message,
        training_date=datetime.now(UTC).isoformat(timespec="seconds"),
        corpus_digest=manifest.digest,
        race=race,
    )
