"""Sounds into files: 24 bit where they are lossless, whole or not at all. No torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from distill.audio.reading import Samples
from distill.audio.tagging import put_tags
from distill.audio.tags import SoundTags
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


def write_audio(path: Path, samples: Samples, sample_rate: int = SAMPLE_RATE, tags: SoundTags | None = None) -> None:
    """Write [N] or [N, channels] in the format that the suffix says, whole or not at all; beyond +-1 is clamped.

    Args:
        tags: what the file says of how it was made.

    Raises:
        DistillError: another suffix, or the file cannot be written.
        ValueError: a sample is NaN or infinite.
    """
    if path.suffix.lower() not in CONTAINERS:
        *others, last = CONTAINERS
        raise DistillError(
            f"{path.name} cannot be written: sounds are written as {', '.join(others)} or {last}, choose one of them."
        )
    container, subtype = CONTAINERS[path.suffix.lower()]
    if not np.isfinite(samples).all():
        raise ValueError(f"{path.name}: a sample is NaN or infinite")
    with replacing(path) as stream:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        with soundfile.SoundFile(stream, "w", sample_rate, channels, subtype, format=container) as file:
            for start in range(0, len(samples), BLOCK):  # libsndfile's Vorbis ends the process on one long write
                file.write(_whole_numbers(samples[start : start + BLOCK]))
        put_tags(stream, container, tags, len(samples), sample_rate)


def _whole_numbers(samples: Samples) -> npt.NDArray[np.int32]:
    """Samples as the upper 24 of 32 bits: libsndfile would round down for WAV and to the nearest for FLAC."""
    rounded = np.rint(np.asarray(samples, np.float64) * 2**23).clip(-(2**23), 2**23 - 1)
    return rounded.astype(np.int32) << 8
