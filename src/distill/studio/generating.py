"""New sounds from a model."""

import threading
import time
from collections.abc import Generator, Sequence
from functools import cached_property, partial
from pathlib import Path

import torch

from distill.audio.finishing import finished
from distill.audio.normalising import told_softer
from distill.audio.reading import Samples
from distill.audio.tags import SoundTags, SourceFile
from distill.audio.writing import write_audio
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import (
    Event,
    GenerationCompleteEvent,
    SoundsPicked,
    SoundWritten,
    Source,
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
from distill.modelfile.opened import LoadedVQModel, load_model, open_model
from distill.novelty.where import Provenance, Tracing
from distill.settings.generation import GenerationSettings
from distill.studio.growing import needs_all, write_as_made
from distill.studio.locating import mono_of, provenance_of
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
    provenance = yield from _provenance(loaded, settings, device, is_needed=only is None)
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
        tracing = None if provenance is None else TracedSound(provenance)
        target, seconds, whole = yield from write_as_made(
            long, file, partial(_tags_of_traced, loaded, request, seed, of, tracing), settings, stop,
            None if tracing is None else tracing.listen,
        )  # fmt: skip
        sampling_seconds += long.sampling_seconds
        synthesis_seconds += time.monotonic() - begun - long.sampling_seconds
        sounds.append(
            SoundWritten(
                str(target),
                seconds,
                len(sounds) + 1,
                settings.count,
                seed=seed,
                unfinished=not whole,
                sources=None if tracing is None else tracing.sources,
            )
        )
        yield sounds[-1]
    making = made_sounds if settings.pick is None else picked_sounds
    for made in () if as_made else making(loaded, settings, synthesise, stop, asked):
        if not isinstance(made, MadeSound):
            picked = made if isinstance(made, SoundsPicked) else picked
            yield made
            continue
        what = "" if settings.verb is None else f"-{settings.verb}"
        of_one = request.at(made.way)
        along = "" if of_one.way is None else f"-way{round(of_one.way * 100):03d}"
        target = unused_path(out / f"{path.stem}{what}-seed{made.seed}{along}.{settings.format}")
        samples, rate, softer_db = finished(made.samples, settings)
        nearest = None if provenance is None else tuple(provenance.sources(mono_of(samples, rate)))
        tags = tags_of(loaded, of_one, made.seed, made.samples, of, nearest)
        write_audio(target, samples.T, rate, tags, settings.bits)
        softer.append(softer_db)
        sampling_seconds += made.sampling_seconds
        synthesis_seconds += made.synthesis_seconds
        seconds = samples.shape[1] / rate
        total = settings.count if picked is None else len(picked.seeds)
        sounds.append(
            SoundWritten(
                str(target),
                seconds,
                len(sounds) + 1,
                total,
                seed=made.seed,
                score=made.score,
                sources=nearest,
                way=of_one.way,
            )
        )
        yield sounds[-1]
    if any(softer):
        yield Warned(told_softer(softer, settings.lufs))
    yield GenerationCompleteEvent(
        str(path), settings.seeds()[0], tuple(sounds), sampling_seconds, synthesis_seconds, picked
    )


def _provenance(
    loaded: LoadedVQModel, settings: GenerationSettings, device: torch.device, is_needed: bool
) -> Generator[Event, None, Provenance | None]:
    """What finds the model's recordings in its sounds, where that is asked for; a sound that is made again does without
    where they are gone."""
    if not settings.provenance:
        return None
    elsewhere = "`distill where FILE MODEL --dataset DIR` takes them from elsewhere."
    work = provenance_of(open_model(loaded.path), device)
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            found: Provenance = end.value
            return found
        except DistillError as error:
            why = f"{loaded.path.stem} holds no codes of its recordings, and not all of them are where they were"
            if is_needed:
                raise DistillError(f"--provenance: {why}. Leave it out; {elsewhere}") from error
            yield Warned(f"What the sound is nearest to is not said again: {why}; {elsewhere}")
            return None
        if isinstance(event, Warned):
            event = Warned(
                "The recordings are not where they were, so sounds are compared with what their codes in the model decode to, "
                f"and less is noticed; {elsewhere}"
            )
        yield event


class TracedSound:
    """What the seconds of a sound are nearest to that comes block by block."""

    def __init__(self, provenance: Provenance) -> None:
        self._tracing, self._found = Tracing(provenance), list[Source]()

    def listen(self, block: Samples) -> None:
        """The next samples [channels, n] at 48 kHz."""
        self._found += self._tracing.take(mono_of(block))

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """Of all of it; nothing comes after that."""
        return (*self._found, *self._tracing.end())


def _tags_of_traced(
    loaded: LoadedVQModel, request: GenerationSettings, seed: int, of: Sequence[SourceFile], traced: TracedSound | None,
    heard: Samples,
) -> SoundTags:  # fmt: skip
    return tags_of(loaded, request, seed, heard, of, None if traced is None else traced.sources)
