"""A sound that is heard while it is made: into a pipe, block after block."""

import errno
import threading
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from distill.audio.pipes import Pipe, PipeFormat
from distill.compute.device import choose_device
from distill.errors import DistillError
from distill.events import Event, Progress, StreamBegun, StreamCompleteEvent
from distill.files import cannot_write
from distill.instrument.asked import asked_of
from distill.instrument.making import MadeSound, made_sounds
from distill.instrument.streaming import LongSound, is_long
from distill.instrument.synthesisers import choose_synthesiser
from distill.instrument.tempo import with_tempo
from distill.library.models import find_model, spoken
from distill.modelfile.opened import load_model
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE

CLOSED = {errno.EPIPE, errno.EINVAL}
"""How a player says that it has heard enough; on Windows the second."""


def stream(
    model: str,
    sink: BinaryIO,
    form: PipeFormat,
    settings: GenerationSettings,
    endless: bool = False,
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Write one sound to `sink` as it is made: the samples of `generate` of the same seed.

    A new sound of at most four seconds, and what is made from recordings, is made first and then written.

    Args:
        endless: a new sound that goes on until nobody reads it any more.
        stop: set it to end after the block that is under way.

    Raises:
        DistillError: the model has no prior, or cannot do what is asked.
    """
    settings, tempo = with_tempo(settings)
    if tempo is not None:
        yield tempo
    if len(settings.ways) > 1:
        raise DistillError("--morph: a stream is one sound. Choose a step with --way, such as --way 0.5.")
    asked = asked_of(settings)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    if loaded.prior is None:
        raise DistillError(f"{path} has a codec and no prior yet. Run `distill train-prior {spoken(path)}` first.")
    settings = settings.model_copy(update={"count": 1, "candidates": 1}).seeded()
    (seed,) = settings.seeds()
    synthesise = choose_synthesiser(loaded, settings.synthesiser, chosen)
    made = 0
    try:
        if asked is None and (endless or is_long(loaded, settings)):
            long = LongSound(loaded, settings, seed, synthesise, endless)
            yield StreamBegun(seed, form, long.channels, SAMPLE_RATE, endless)
            pipe = Pipe(sink, form, long.channels, long.samples if long.is_exact else None)
            for progress, block in long.followed(settings.seconds):
                pipe.write(block)
                made = pipe.written
                if stop is not None and stop.is_set():
                    break
                if not endless:
                    yield progress
            pipe.close()
        else:
            for each in made_sounds(loaded, settings, synthesise, stop, asked):
                if isinstance(each, Progress):
                    yield each
                    continue
                made = _whole(each, sink, form)
                yield StreamBegun(seed, form, len(each.samples), SAMPLE_RATE, False)
    except OSError as error:
        if error.errno not in CLOSED:
            raise cannot_write(Path("to standard output"), error) from error
    yield StreamCompleteEvent(str(path), seed, made / SAMPLE_RATE)


def _whole(sound: MadeSound, sink: BinaryIO, form: PipeFormat) -> int:
    """Write a finished sound -> its samples."""
    channels, samples = sound.samples.shape
    pipe = Pipe(sink, form, channels, samples)
    pipe.write(sound.samples)
    pipe.close()
    return pipe.written
