"""Files of long sounds, written as they are made."""

import threading
from collections.abc import Generator
from pathlib import Path

from distill.audio.writing import writing_audio
from distill.events import Progress
from distill.files import move_to_new, unused_path
from distill.instrument.streaming import LongSound
from distill.settings.geometry import SAMPLE_RATE

UNFINISHED = "-unfinished"
"""What the name of a file ends with as long as its sound is not whole."""


def write_as_made(
    sound: LongSound, path: Path, comment: str, seconds: float, stop: threading.Event | None
) -> Generator[Progress, None, tuple[Path, float, bool]]:
    """Write a sound block after block; where it is stopped, what there is stays, as a file that is called unfinished.

    Returns:
        The file, how many seconds it holds, and whether that is all of it.

    Raises:
        DistillError: it cannot be written, such as on a full disk; nothing of it stays then.
    """
    unfinished = unused_path(path.with_name(f"{path.stem}{UNFINISHED}{path.suffix}"))
    samples, whole = 0, True
    with writing_audio(unfinished, sound.channels, comment=comment) as write:
        for progress, block in sound.followed(seconds):
            write(block.T)
            samples += block.shape[1]
            if stop is not None and stop.is_set():
                whole = False
                break
            yield progress
    if not whole:
        return unfinished, samples / SAMPLE_RATE, False
    while True:
        target = unused_path(path)
        try:
            move_to_new(unfinished, target)
        except FileExistsError:
            continue  # another program was quicker
        return target, samples / SAMPLE_RATE, True
