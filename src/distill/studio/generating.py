"""New sounds from a model."""

import threading
import time
from collections.abc import Generator
from pathlib import Path

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
from distill.instrument.asked import asked_of
from distill.instrument.making import made_sounds
from distill.instrument.streaming import LongSound, is_long
from distill.instrument.synthesisers import choose_synthesiser
from distill.library.models import find_model, spoken
from distill.modelfile.opened import load_model
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.growing import write_as_made


def generate(
    model: str, out: Path, settings: GenerationSettings, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds, or what the settings ask for instead of those (a continuation, a loop, ...).

    Sound number i of seed s is sound 0 of seed s + i; parts that are replaced come the likeliest first.

    Args:
        stop: set it to end before the next sound; those that are written stay, and of a long one what is made.
    """
    asked = asked_of(settings)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {spoken(path)}` first.")
    settings = settings.seeded()
    synthesise = choose_synthesiser(loaded, settings.synthesiser, chosen)
    sounds: list[SoundWritten] = []
    sampling_seconds = synthesis_seconds = 0.0
    if asked is None and is_long(loaded, settings):
        for seed in settings.seeds():
            if stop is not None and stop.is_set():
                break
            long, begun = LongSound(loaded, settings, seed, synthesise), time.monotonic()
            comment = settings.comment(path.stem, seed)
            target, seconds, whole = yield from write_as_made(
                long, out / f"{path.stem}-seed{seed}.{settings.format}", comment, settings.seconds, stop
            )
            sampling_seconds += long.sampling_seconds
            synthesis_seconds += time.monotonic() - begun - long.sampling_seconds
            sounds.append(
                SoundWritten(str(target), seconds, len(sounds) + 1, settings.count, seed=seed, unfinished=not whole)
            )
            yield sounds[-1]
        yield GenerationCompleteEvent(
            str(path), settings.seeds()[0], tuple(sounds), sampling_seconds, synthesis_seconds
        )
        return
    for made in made_sounds(loaded, settings, synthesise, stop, asked):
        if isinstance(made, Progress):
            yield made
            continue
        what = "" if settings.verb is None else f"-{settings.verb}"
        target = unused_path(out / f"{path.stem}{what}-seed{made.seed}.{settings.format}")
        write_audio(target, made.samples.T, comment=settings.comment(path.stem, made.seed))
        sampling_seconds += made.sampling_seconds
        synthesis_seconds += made.synthesis_seconds
        seconds = made.samples.shape[1] / SAMPLE_RATE
        sounds.append(
            SoundWritten(str(target), seconds, len(sounds) + 1, settings.count, seed=made.seed, score=made.score)
        )
        yield sounds[-1]
    yield GenerationCompleteEvent(str(path), settings.seeds()[0], tuple(sounds), sampling_seconds, synthesis_seconds)
