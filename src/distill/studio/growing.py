"""Files of long sounds, written as they are made."""

import threading
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.audio.tags import SoundTags
from distill.audio.writing import writing_audio
from distill.errors import DistillError
from distill.events import Progress
from distill.files import move_to_new, unused_path
from distill.instrument.streaming import LongSound
from distill.instrument.tags import HEARD_SECONDS
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE
from distill.settings.knobs import flag_name

UNFINISHED = "-unfinished"
"""What the name of a file ends with as long as its sound is not whole."""
WHOLE_SECONDS = 600.0
"""Sounds up to this length may be finished in ways that need all of them at once."""
NEED_ALL = ("rate", "normalise", "trim", "fade_in", "fade_out")
"""Settings of what becomes of a sound on its way into a file for which all of it must be there."""

Samples = npt.NDArray[np.float32]
Tags = Callable[[Samples], SoundTags]
"""The tags of a sound, by what is listened to of it [channels, N]."""


def needs_all(settings: GenerationSettings) -> bool:
    """Whether all of a sound must be there before any of it is written.

    Raises:
        DistillError: it is too long for that.
    """
    usual = GenerationSettings()
    flags = [flag_name(name) for name in NEED_ALL if getattr(settings, name) != getattr(usual, name)]
    if flags and settings.seconds > WHOLE_SECONDS:
        raise DistillError(
            f"{', '.join(flags)}: of a sound of more than {WHOLE_SECONDS:.0f} seconds all would have to be kept at once. "
            f"Leave {'it' if len(flags) == 1 else 'them'} out, or make shorter ones."
        )
    return bool(flags)


def write_as_made(
    sound: LongSound,
    path: Path,
    tags: Tags,
    settings: GenerationSettings,
    stop: threading.Event | None,
    listen: Callable[[Samples], None] | None = None,
) -> Generator[Progress, None, tuple[Path, float, bool]]:
    """Write a sound block after block; where it is stopped, what there is stays, as a file that is called unfinished.

    Args:
        listen: is given each block [channels, n] before the tags are asked for.

    Returns:
        The file, how many seconds it holds, and whether that is all of it.

    Raises:
        DistillError: it cannot be written, such as on a full disk; nothing of it stays then.
    """
    unfinished = unused_path(path.with_name(f"{path.stem}{UNFINISHED}{path.suffix}"))
    heard, whole = np.zeros((sound.channels, 0), dtype=np.float32), True
    with writing_audio(unfinished, sound.channels, bits=settings.bits) as file:
        for progress, block in sound.followed(settings.seconds):
            file.write(block.T)
            if listen is not None:
                listen(block)
            if heard.shape[1] < HEARD_SECONDS * SAMPLE_RATE:
                heard = np.concatenate([heard, block], axis=1)
            if stop is not None and stop.is_set():
                whole = False
                break
            yield progress
        file.tags = tags(heard)
    seconds = file.frames / SAMPLE_RATE
    if not whole:
        return unfinished, seconds, False
    while True:
        target = unused_path(path)
        try:
            move_to_new(unfinished, target)
        except FileExistsError:
            continue  # another program was quicker
        return target, seconds, True
