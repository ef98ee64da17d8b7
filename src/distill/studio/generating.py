"""New sounds from a model."""

import threading
import time
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import torch

from distill.audio.finishing import finished
from distill.audio.normalising import told_softer
from distill.audio.tags import SourceFile
from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import (
    Event,
    GenerationCompleteEvent,
    SoundsPicked,
    SoundWritten,
    Warned,
)
from distill.files import unused_path
from distill.instrument.asked import Asked, asked_of
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.streaming import LongSound, is_long
from distill.instrument.synthesisers import choose_synthesiser
from distill.instrument.tags import source_file, tags_of
from distill.instrument.tempo import with_tempo
from distill.library.models import find_model, spoken
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.settings.generation import GenerationSettings
from distill.studio.growing import needs_all, write_as_made
from distill.studio.picking import picked_sounds


def generate(
    model: str, out: Path, settings: GenerationSettings, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds, or what the settings ask for instead of those (a continuation, a loop, ...).

    Sound number i of seed s is sound 0 of seed s + i; parts that are replaced come the likeliest first, sounds that are picked
    the most typical first, after what was left out and why.

    Args:
        stop: set it to end before the next sound; those that are written stay, and of a long one what is made.
    """
    settings, tempo = with_tempo(settings)
    if tempo is not None:
        yield tempo
    asked = asked_of(settings)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    yield from write_sounds(loaded, settings.seeded(), asked, out, chosen, stop)


def write_sounds(
    loaded: LoadedVQModel,
    request: GenerationSettings,
    asked: Asked | None,
    out: Path,
    device: torch.device,
    stop: threading.Event | None = None,
    only: int | None = None,
    sources: Sequence[SourceFile] | None = None,
) -> Generator[Event, None, None]:
    """Make the sounds of a request and write them, each with its tags.

    Args:
        request: with a seed.
        asked: what is asked for instead of new sounds, its recordings read.
        only: the seed of the one sound to make; None: all.
        sources: what the tags say of the recordings; None: what those are.
    """
    path = loaded.path
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {spoken(path)}` first.")
    settings = request if only is None else request.alone(only)
    of = [source_file(file) for file in settings.files] if sources is None else sources
    synthesise = choose_synthesiser(loaded, settings.synthesiser, device)
    sounds: list[SoundWritten] = []
    softer: list[float] = []
    sampling_seconds = synthesis_seconds = 0.0
    picked: SoundsPicked | None = None
    as_made = asked is None and settings.pick is None and is_long(loaded, settings) and not needs_all(settings)
    for seed in settings.seeds() if as_made else ():
        if stop is not None and stop.is_set():
            break
        long, begun = LongSound(loaded, settings, seed, synthesise), time.monotonic()
        file = out / f"{path.stem}-seed{seed}.{settings.format}"
        tags = partial(tags_of, loaded, request, seed, sources=of)
        target, seconds, whole = yield from write_as_made(long, file, tags, settings, stop)
        sampling_seconds += long.sampling_seconds
        synthesis_seconds += time.monotonic() - begun - long.sampling_seconds
        sounds.append(
            SoundWritten(str(target), seconds, len(sounds) + 1, settings.count, seed=seed, unfinished=not whole)
        )
        yield sounds[-1]
    making = made_sounds if settings.pick is None else picked_sounds
    for made in () if as_made else making(loaded, settings, synthesise, stop, asked):
        if not isinstance(made, MadeSound):
            picked = made if isinstance(made, SoundsPicked) else picked
            yield made
            continue
        what = "" if settings.verb is None else f"-{settings.verb}"
        target = unused_path(out / f"{path.stem}{what}-seed{made.seed}.{settings.format}")
        samples, rate, softer_db = finished(made.samples, settings)
        write_audio(target, samples.T, rate, tags_of(loaded, request, made.seed, made.samples, of), settings.bits)
        softer.append(softer_db)
        sampling_seconds += made.sampling_seconds
        synthesis_seconds += made.synthesis_seconds
        seconds = samples.shape[1] / rate
        total = settings.count if picked is None else len(picked.seeds)
        sounds.append(SoundWritten(str(target), seconds, len(sounds) + 1, total, seed=made.seed, score=made.score))
        yield sounds[-1]
    if any(softer):
        yield Warned(told_softer(softer, settings.lufs))
    yield GenerationCompleteEvent(
        str(path), settings.seeds()[0], tuple(sounds), sampling_seconds, synthesis_seconds, picked
    )
