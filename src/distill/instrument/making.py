"""Sounds from a model, one by one: codes sampled in batches, then samples."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from distill.audio.griffin_lim import Synthesiser
from distill.compute.threads import process_threads, threads
from distill.errors import DistillError
from distill.events import Progress
from distill.instrument.asked import Asked
from distill.instrument.pipelining import worked_on
from distill.instrument.streaming import LongSound, is_long
from distill.instrument.verbs import Drawn, draw
from distill.modelfile.opened import LoadedVQModel
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings

Piece = TypeVar("Piece")
Done = TypeVar("Done")

BATCH = 16
"""Sounds sampled at once."""


class MadeSound(NamedTuple):
    """One sound."""

    seed: int
    samples: npt.NDArray[np.float32]  # [channels, N] at 48 kHz
    sampling_seconds: float  # what its codes took, its share of the batch's
    synthesis_seconds: float
    score: float | None = None
    """Of a part that was replaced: the mean log-likelihood of what was drawn and of what follows, in nats."""
    way: float | None = None
    """Of a morph's steps: how far along it is."""
    ended: bool = False
    """Whether it ends by itself, or where it was asked to; of long sounds nobody asks."""


class DrawnSound(NamedTuple):
    """The codes of one sound."""

    seed: int
    drawn: Drawn
    seconds: float  # what they took, their share of the batch's
    way: float | None = None
    """Of a morph's steps: how far along it is."""


def drawn_sounds(
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    synthesise: Synthesiser,
    stop: threading.Event | None = None,
    asked: Asked | None = None,
) -> Iterator[Progress | DrawnSound]:
    """The codes of sounds, batch by batch, with what is under way between them; ways to replace a part come the likeliest
    first. Arguments and errors as of `made_sounds`."""
    if loaded.prior is None:
        raise DistillError(f"{loaded.path} has a codec and no prior yet: nothing can be generated.")
    ranked = asked is not None and asked.verb == "replace"
    ways = asked.ways if asked is not None and len(asked.ways) > 1 else ()
    seeds = settings.seeds()[:1] * len(ways) if ways else settings.seeds()  # what changes from step to step is the way
    drawn: list[tuple[int, Drawn]] = []
    begun, spent = time.monotonic(), 0.0
    for first in range(0, settings.count, BATCH):
        batch = seeds[first : first + BATCH]
        part = None if asked is None else asked.part(first, BATCH)
        drawing = draw(loaded, part, [clip_generator(seed) for seed in batch], settings, synthesise)
        while True:
            try:
                done, total = next(drawing)
            except StopIteration as end:
                drawn += zip(batch, end.value, strict=True)
                break
            if stop is not None and stop.is_set():
                return
            yield Progress("sampling", first * total + len(batch) * done, settings.count * total)
        spent = time.monotonic() - begun
        if ranked and len(drawn) < settings.count:
            continue
        for number, (seed, each) in enumerate(
            sorted(drawn, key=lambda one: -(one[1].score or 0.0)) if ranked else drawn, start=first
        ):
            way = ways[number] if ways else None
            yield DrawnSound(seed, each if ranked else each._replace(score=None), spent / len(drawn), way)
        drawn, begun = [], time.monotonic()


def made_sounds(
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    synthesise: Synthesiser,
    stop: threading.Event | None = None,
    asked: Asked | None = None,
) -> Iterator[Progress | MadeSound]:
    """Sounds of a model, with what is under way between them.

    Args:
        settings: with a seed.
        stop: set it to end before the next sound.
        asked: what is asked for instead of new sounds.

    Raises:
        DistillError: the model has no prior, or cannot do what is asked.
    """
    if asked is None and loaded.prior is not None and is_long(loaded, settings):
        yield from _long_sounds(loaded, settings, synthesise, stop)
        return
    for each in rendered(drawn_sounds(loaded, settings, synthesise, stop, asked), loaded):
        if isinstance(each, MadeSound) and stop is not None and stop.is_set():
            return
        yield each


def _long_sounds(
    loaded: LoadedVQModel, settings: GenerationSettings, synthesise: Synthesiser, stop: threading.Event | None
) -> Iterator[Progress | MadeSound]:
    """New sounds that are made piece by piece, each of them whole."""
    for seed in settings.seeds():
        long = LongSound(loaded, settings, seed, synthesise)
        begun, blocks = time.monotonic(), []
        for progress, block in long.followed(settings.seconds):
            if stop is not None and stop.is_set():
                return
            yield progress
            blocks.append(block)
        taken = time.monotonic() - begun - long.sampling_seconds
        yield MadeSound(seed, np.concatenate(blocks, axis=1), long.sampling_seconds, taken)


def side_by_side(
    found: Iterator[Progress | Piece], kind: type[Piece], work: Callable[[Piece], Done], loaded: LoadedVQModel
) -> Iterator[Progress | Done]:
    """Some work on each sound, in order, while the next are found; on a processor several at once, each on one thread.

    Threads within a sound would gain as much on an idle machine and lose most of it on a busy one, and samples would depend
    on how many there are.
    """
    count = process_threads() if loaded.codec.typical_level_db.device.type == "cpu" else 1
    return worked_on(found, kind, work, count, 2 * BATCH if count > 1 else 0)


def rendered(drawn: Iterator[Progress | DrawnSound], loaded: LoadedVQModel) -> Iterator[Progress | MadeSound]:
    """Drawn sounds as samples, in order, while the next are drawn."""
    return side_by_side(drawn, DrawnSound, _rendered, loaded)


def _rendered(drawn: DrawnSound) -> MadeSound:
    begun = time.monotonic()
    with threads(1):
        samples = drawn.drawn.render()
    taken, found = time.monotonic() - begun, drawn.drawn
    return MadeSound(drawn.seed, samples, drawn.seconds, taken, found.score, drawn.way, found.ended)
