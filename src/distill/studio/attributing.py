"""What is a sound from? The nearest recordings are left out in turn, and its likelihood says what each has given."""

import contextlib
import math
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from distill.compute.device import choose_device
from distill.compute.fabric import launch_fabric
from distill.corpus.manifest import CorpusFile
from distill.errors import DistillError
from distill.events import Event, Progress, StepMetrics
from distill.instrument.recordings import Recording, check_a_column, encode_recording, level_of_all, read_recording
from distill.library.models import find_model, spoken
from distill.modelfile.opened import LoadedVQModel, OpenedModel, loaded_model, open_model
from distill.models.image import read_by_priors
from distill.models.likelihood import log_likelihood
from distill.models.prior import CodePrior
from distill.novelty.attribution import AttributionReport, judged, shares_of, suspects_of
from distill.novelty.nearest import Corpus
from distill.novelty.sounds import Heard, pieces
from distill.settings.geometry import BANDS, SAMPLE_RATE
from distill.settings.prior import PriorSettings
from distill.studio.judging import STOPPED, Material, judged_samples, material_of
from distill.studio.stopping import stoppable
from distill.training.prior.codes import CodeSequences, unpack_codes
from distill.training.prior.without import prior_without, taught

SUSPECTS, MOST_SUSPECTS = 4, 12
START_SHARE = 0.5
"""How long the prior is trained that the suspects are then taught to, of what the model's own was."""
SEEDS = 2
"""How often each suspect is left out, for the intervals."""


@dataclass(frozen=True)
class _Group:
    """Recordings that are left out together, because they nearly repeat each other."""

    numbers: tuple[int, ...]
    """Of the training files, the nearest first."""
    unexplained: float


def attribute(
    file: Path | Recording,
    model: str,
    suspects: int = SUSPECTS,
    dataset: Path | None = None,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Which recordings a sound is from; an `AttributionReport` is the last event.

    A prior of the model's size is trained without any of the nearest recordings; from there it is taught all of them, and all
    but one in turn, with everything else alike, several times. What the sound gets less likely without one is what that one
    has given.

    Args:
        suspects: how many of the nearest recordings are looked at.
        dataset: where the recordings are now; None: where they were. The codes that are kept in the model do without.
        stop: set it to end without an answer.

    Raises:
        DistillError: the file is no sound or shorter than a column of codes, the model has no prior or keeps no codes, or
            has too few recordings to leave some out.
        Stopped: before the answer.
    """
    if not 2 <= suspects <= MOST_SUSPECTS:
        raise DistillError(f"--suspects {suspects}: give 2 to {MOST_SUSPECTS}.")
    path = find_model(model)
    opened = open_model(path)
    card = opened.card
    settings, made = card.prior_training_config, card.prior_metadata
    if settings is None or made is None or not card.has_codes:
        raise DistillError(
            f"{path} keeps no codes of its recordings, which a prior is trained from here: run "
            f"`distill train-prior {spoken(path)} --overwrite` first."
        )
    recording = file if isinstance(file, Recording) else read_recording(file)
    check_a_column(recording, "the sound")
    chosen = choose_device(device)
    material = yield from stoppable(material_of(opened, dataset, chosen, recorded=True), stop, STOPPED)
    loaded = loaded_model(opened, chosen)
    sequences = unpack_codes(opened.codes, card.corpus_manifest, card.vqvae_config.codebook_size, card.prior_levels)
    groups = nearest_groups(material, opened, recording, suspects, chosen)
    codes = encode_recording(loaded, recording, level_of_all(loaded, (recording,)))
    plain = settings.model_copy(update={"epochs": made.best_epoch, "traits": False, "kinds": 0, "views": 1})
    falls = yield from stoppable(
        fallen(loaded, sequences, [each.numbers for each in groups], codes, plain, device), stop, STOPPED
    )
    shares = shares_of(falls)
    names = [file.name for file in card.corpus_manifest.train]
    verdict, reason = judged(shares, falls.mean(0).sum(-1))
    yield AttributionReport(
        model=str(path),
        file=recording.name,
        seconds=recording.samples / SAMPLE_RATE,
        recordings=len(names),
        suspects=suspects_of(
            [names[each.numbers[0]] for each in groups],
            [[names[number] for number in each.numbers[1:]] for each in groups],
            [each.unexplained for each in groups],
            falls,
            shares,
        ),
        verdict=verdict,
        reason=reason,
        seeds=len(falls),
    )


def nearest_groups(
    material: Material, opened: OpenedModel, recording: Recording, most: int, device: torch.device
) -> list[_Group]:
    """The nearest recordings, as `distill where` compares them, each with what nearly repeats it.

    Pieces of one recording are each by themselves.

    Raises:
        DistillError: there is nothing to hear, or so few recordings that none can be left out.
    """
    sound = judged_samples(material.codec, recording.name, recording.planes[0], opened, device)
    cut = list(pieces(Heard(sound.name, sound.mel)))
    if not cut:
        raise DistillError(f"{recording.name} is silent: there is nothing to be from anywhere. Give another sound.")
    left = []
    for known in material.train:
        each = [Corpus([Heard(known.name, mel, known.group)], opened.card.spectrogram_config) for mel in known.wide]
        found = [[min(match.unexplained for match in piece.matches) for piece in one.compare(cut)] for one in each]
        left.append(float(np.exp(np.min(found, axis=0)).mean()))
    groups: dict[tuple[int, bool], list[int]] = {}
    for number in np.argsort(left, kind="stable"):
        groups.setdefault(_group(opened.card.corpus_manifest.train[number], int(number)), []).append(int(number))
    if len(groups) < 4:
        raise DistillError(
            f"{opened.path} has learned from {len(groups)} recordings, too few to leave some out: 4 are needed."
        )
    nearest = list(groups.values())[: min(most, len(groups) // 2)]
    return [_Group(tuple(numbers), left[numbers[0]]) for numbers in nearest]


def fallen(
    loaded: LoadedVQModel,
    sequences: CodeSequences,
    groups: Sequence[Sequence[int]],
    codes: Tensor,
    settings: PriorSettings,
    device: str = "auto",
    seeds: int = SEEDS,
) -> Generator[Event, None, np.ndarray]:
    """Leave groups of training files out in turn -> [seeds, groups, columns] bits that a sound's columns get less likely.

    Args:
        codes: [S, Q], the sound's.
        settings: of the model's prior, with `epochs` up to its best.
    """
    settings = settings.model_copy(update={"epochs": max(1, round(START_SHARE * settings.epochs))})
    fabric = launch_fabric(device, settings.seed)
    vectors = vectors_of(loaded)
    files = [number for group in groups for number in group]
    learning = prior_without(sequences, vectors, settings, fabric, files)
    start = yield from _counted(learning, "learning without the suspects", 0, 1)
    rounds, falls = seeds * (len(groups) + 1), []
    for seed in range(seeds):
        costs: list[np.ndarray] = []
        for left_out in ((), *groups):
            done = seed * (len(groups) + 1) + len(costs)
            work = taught(start, sequences, vectors, settings, fabric, files, left_out, settings.seed + 1 + seed)
            prior = yield from _counted(work, "leaving suspects out", done, rounds)
            costs.append(bits_of(prior, codes))
        falls.append([each - costs[0] for each in costs[1:]])
    return np.array(falls)


def vectors_of(loaded: LoadedVQModel) -> Tensor:
    """[Q, K, D], what stands behind the codes of a model, as a prior reads them."""
    return read_by_priors(loaded.codec.codebooks(), loaded.image)


def bits_of(prior: CodePrior, codes: Tensor) -> np.ndarray:
    """Bits that each column of a sound costs: [C]."""
    likely = log_likelihood(prior, codes).double().sum(1).view(-1, BANDS).sum(1)
    return np.asarray(-likely.numpy() / math.log(2.0))


def _group(file: CorpusFile, number: int) -> tuple[int, bool]:
    return (file.group, False) if file.span is None else (number, True)


def _counted(
    work: Generator[Event, None, CodePrior], task: str, done: int, rounds: int
) -> Generator[Event, None, CodePrior]:
    """A training's steps as progress of so many."""
    with contextlib.closing(work):
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                prior: CodePrior = end.value
                return prior
            if isinstance(event, StepMetrics):
                yield Progress(task, done * event.total_steps + event.step, rounds * event.total_steps)
