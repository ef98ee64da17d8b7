"""Sounds into files: 24 bit where they are lossless, whole or not at all. No torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from distill import __version__
from distill.audio.reading import Samples
from distill.errors import DistillError
from distill.files import replacing
from distill.settings.geometry import SAMPLE_RATE

CONTAINERS = {
    ".wav": ("WAV", "PCM_24"),
    ".flac": ("FLAC", "PCM_24"),
    ".aiff": ("AIFF", "PCM_24"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
"""libsndfile's names for what each suffix stands for."""
BLOCK = 1 << 16
"""Samples that are written at a time."""


def write_audio(path: Path, samples: Samples, sample_rate: int = SAMPLE_RATE, comment: str = "") -> None:
    """Write [N] or [N, channels] in the format that the suffix says, whole or not at all; beyond +-1 is clamped.

    Args:
        comment: text to be kept in the file, after the program's name and version: what it was made with.

    Raises:
        DistillError: another suffix, or the file cannot be written.
        ValueError: a sample is NaN or infinite.
    """
    if not np.isfinite(samples).all():
        raise ValueError(f"{path.name}: a sample is NaN or infinite")
    with writing_audio(path, 1 if samples.ndim == 1 else samples.shape[1], sample_rate, comment) as write:
        write(samples)


@contextmanager
def writing_audio(
    path: Path, channels: int, sample_rate: int = SAMPLE_RATE, comment: str = ""
) -> Iterator[Callable[[Samples], None]]:
    """Open a file for [N] or [N, channels], block after block, as `write_audio`; it is there when the block has ended.

    Raises:
        DistillError: another suffix, or the file cannot be written.
    """
    if path.suffix.lower() not in CONTAINERS:
        *others, last = CONTAINERS
        raise DistillError(
            f"{path.name} cannot be written: sounds are written as {', '.join(others)} or {last}, choose one of them."
        )
    container, subtype = CONTAINERS[path.suffix.lower()]
    with (
        replacing(path) as stream,
        soundfile.SoundFile(stream, "w", sample_rate, channels, subtype, format=container) as file,
    ):
        if comment:  # before the samples: a header cannot grow afterwards
            file.software = f"distill {__version__}"
            text = f"distill {__version__}: {comment}"
            file.comment = text.encode(errors="replace").decode()  # names of files may hold anything

        def write(samples: Samples) -> None:
            for start in range(0, len(samples), BLOCK):  # libsndfile's Vorbis ends the process on one long write
                file.write(whole_numbers(samples[start : start + BLOCK]))
            if getattr(getattr(stream, "raw", None), "failure", None) is not None:
                raise stream.raw.failure  # type: ignore[attr-defined]

        yield write


def whole_numbers(samples: Samples) -> npt.NDArray[np.int32]:
    """Samples as the upper 24 of 32 bits: libsndfile would round down for WAV and to the nearest for FLAC."""
    rounded = np.rint(np.asarray(samples, np.float64) * 2**23).clip(-(2**23), 2**23 - 1)
    return rounded.astype(np.int32) << 8
