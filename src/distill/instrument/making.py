"""Sounds from a model, one by one: codes sampled in batches, then samples."""

import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from distill.audio.griffin_lim import Synthesiser
from distill.errors import DistillError
from distill.events import Progress
from distill.instrument.asked import Asked
from distill.instrument.verbs import Drawn, draw
from distill.modelfile.opened import LoadedVQModel
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings

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


class DrawnSound(NamedTuple):
    """The codes of one sound."""

    seed: int
    drawn: Drawn
    seconds: float  # what they took, their share of the batch's


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
    drawn: list[tuple[int, Drawn]] = []
    begun, spent = time.monotonic(), 0.0
    for first in range(0, settings.count, BATCH):
        batch = settings.seeds()[first : first + BATCH]
        drawing = draw(loaded, asked, [clip_generator(seed) for seed in batch], settings, synthesise)
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
        for seed, each in sorted(drawn, key=lambda one: -(one[1].score or 0.0)) if ranked else drawn:
            yield DrawnSound(seed, each if ranked else each._replace(score=None), spent / len(drawn))
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
    for each in drawn_sounds(loaded, settings, synthesise, stop, asked):
        if isinstance(each, Progress):
            yield each
            continue
        if stop is not None and stop.is_set():
            return
        begun = time.monotonic()
        samples = each.drawn.render()
        yield MadeSound(each.seed, samples, each.seconds, time.monotonic() - begun, each.drawn.score)
