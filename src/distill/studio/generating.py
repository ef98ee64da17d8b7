"""New sounds from a model."""

import threading
import time
from collections.abc import Generator
from pathlib import Path

from torch import Tensor

from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import (
    Event,
    GenerationCompleteEvent,
    Progress,
    SoundWritten,
)
from distill.files import unused_path
from distill.instrument.rendering import to_samples
from distill.instrument.sampling import sample_pieces
from distill.instrument.synthesisers import choose_synthesiser
from distill.library.models import find_model, spoken
from distill.modelfile.opened import load_model
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE

BATCH = 16
"""Sounds sampled at once."""


def generate(
    model: str, out: Path, settings: GenerationSettings, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds. Sound number i of seed s is sound 0 of seed s + i.

    Args:
        stop: set it to end before the next sound; those that are written stay.
    """
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {spoken(path)}` first.")
    settings = settings.seeded()
    seeds = settings.seeds()
    synthesise = choose_synthesiser(loaded, settings.synthesiser, chosen)
    sounds: list[SoundWritten] = []
    sampling_seconds = synthesis_seconds = 0.0
    for first in range(0, settings.count, BATCH):
        batch = seeds[first : first + BATCH]
        generators = [clip_generator(each) for each in batch]
        begun = time.monotonic()
        codes: list[Tensor] = []
        for done, total, codes in sample_pieces(loaded.prior, generators, loaded, settings):  # noqa: B007
            if stop is not None and stop.is_set():
                break
            yield Progress("sampling", first * total + len(batch) * done, settings.count * total)
        sampling_seconds += time.monotonic() - begun
        for each, generator, sequence in zip(batch, generators, codes, strict=True):
            if stop is not None and stop.is_set():
                break
            begun = time.monotonic()
            samples = to_samples(loaded, sequence, synthesise, generator, settings)
            target = unused_path(out / f"{path.stem}-seed{each}.{settings.format}")
            write_audio(target, samples, comment=settings.comment(path.stem, each))
            synthesis_seconds += time.monotonic() - begun
            sound = SoundWritten(str(target), len(samples) / SAMPLE_RATE, len(sounds) + 1, settings.count, seed=each)
            sounds.append(sound)
            yield sound
        if stop is not None and stop.is_set():
            break
    yield GenerationCompleteEvent(str(path), seeds[0], tuple(sounds), sampling_seconds, synthesis_seconds)
