"""New sounds from a model."""

import threading
from collections.abc import Generator
from pathlib import Path

from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import (
    Event,
    GenerationCompleteEvent,
    SoundsPicked,
    SoundWritten,
)
from distill.files import unused_path
from distill.instrument.asked import asked_of
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.synthesisers import choose_synthesiser
from distill.library.models import find_model, spoken
from distill.modelfile.opened import load_model
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.picking import picked_sounds


def generate(
    model: str, out: Path, settings: GenerationSettings, device: str = "auto", stop: threading.Event | None = None
) -> Generator[Event, None, None]:
    """Sample the prior and write new sounds, or what the settings ask for instead of those (a continuation, a loop, ...).

    Sound number i of seed s is sound 0 of seed s + i; parts that are replaced come the likeliest first, sounds that are picked
    the most typical first, after what was left out and why.

    Args:
        stop: set it to end before the next sound; those that are written stay.
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
    picked: SoundsPicked | None = None
    making = made_sounds if settings.pick is None else picked_sounds
    for made in making(loaded, settings, synthesise, stop, asked):
        if not isinstance(made, MadeSound):
            picked = made if isinstance(made, SoundsPicked) else picked
            yield made
            continue
        what = "" if settings.verb is None else f"-{settings.verb}"
        target = unused_path(out / f"{path.stem}{what}-seed{made.seed}.{settings.format}")
        write_audio(target, made.samples.T, comment=settings.comment(path.stem, made.seed))
        sampling_seconds += made.sampling_seconds
        synthesis_seconds += made.synthesis_seconds
        seconds = made.samples.shape[1] / SAMPLE_RATE
        total = settings.count if picked is None else len(picked.seeds)
        sounds.append(SoundWritten(str(target), seconds, len(sounds) + 1, total, seed=made.seed, score=made.score))
        yield sounds[-1]
    yield GenerationCompleteEvent(
        str(path), settings.seeds()[0], tuple(sounds), sampling_seconds, synthesis_seconds, picked
    )
