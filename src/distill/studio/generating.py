"""New sounds from a model."""

import secrets
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
from distill.instrument.request import LARGEST_SEED, GenerateOptions, check_generate
from distill.instrument.sampling import sample_pieces
from distill.instrument.synthesisers import choose_synthesiser
from distill.library.models import find_model, spoken
from distill.modelfile.opened import load_model
from distill.models.sampling import clip_generator
from distill.settings.geometry import SAMPLE_RATE

BATCH = 16
"""Sounds sampled at once."""


def generate(
    model: str, out: Path, options: GenerateOptions, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds. Sound number i of seed s is sound 0 of seed s + i.

    Args:
        stop: set it to end before the next sound; those that are written stay.
    """
    check_generate(options)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {spoken(path)}` first.")
    seed = options.seed if options.seed is not None else secrets.randbelow(LARGEST_SEED)
    synthesise = choose_synthesiser(loaded, options.synthesiser, chosen)
    sounds: list[SoundWritten] = []
    sampling_seconds = synthesis_seconds = 0.0
    for first in range(0, options.count, BATCH):
        seeds = [seed + i for i in range(first, min(first + BATCH, options.count))]
        generators = [clip_generator(each) for each in seeds]
        begun = time.monotonic()
        codes: list[Tensor] = []
        for done, total, codes in sample_pieces(loaded.prior, generators, loaded, options):  # noqa: B007
            if stop is not None and stop.is_set():
                break
            yield Progress("sampling", first * total + len(seeds) * done, options.count * total)
        sampling_seconds += time.monotonic() - begun
        for each, generator, sequence in zip(seeds, generators, codes, strict=True):
            if stop is not None and stop.is_set():
                break
            begun = time.monotonic()
            samples = to_samples(loaded, sequence, synthesise, generator, options)
            target = unused_path(out / f"{path.stem}-seed{each}.{options.format}")
            write_audio(target, samples)
            synthesis_seconds += time.monotonic() - begun
            sound = SoundWritten(str(target), len(samples) / SAMPLE_RATE, len(sounds) + 1, options.count, seed=each)
            sounds.append(sound)
            yield sound
        if stop is not None and stop.is_set():
            break
    yield GenerationCompleteEvent(str(path), seed, tuple(sounds), sampling_seconds, synthesis_seconds)
