"""Sounds into files, whole or not at all. No torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from distill.audio.reading import Samples
from distill.audio.tagging import put_tags
from distill.audio.tags import SoundTags
from distill.errors import DistillError
from distill.files import replacing
from distill.settings.generation import Bits
from distill.settings.geometry import SAMPLE_RATE

LOSSLESS: dict[Bits, str] = {"16": "PCM_16", "24": "PCM_24", "32": "FLOAT"}
CONTAINERS = {
    ".wav": ("WAV", ""),
    ".flac": ("FLAC", ""),
    ".aiff": ("AIFF", ""),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
"""libsndfile's names for what each suffix stands for; empty: one of `LOSSLESS`."""
BLOCK = 1 << 16
"""Samples that are written at a time."""


def write_audio(
    path: Path, samples: Samples, sample_rate: int = SAMPLE_RATE, tags: SoundTags | None = None, bits: Bits = "24"
) -> None:
    """Write [N] or [N, channels] in the format that the suffix says, whole or not at all; beyond +-1 is clamped.

    Args:
        tags: what the file says of how it was made.
        bits: of a lossless file; 32: floating point, for `.wav`. 16 bit have a triangular dither, the same each time.

    Raises:
        DistillError: another suffix, or the file cannot be written.
        ValueError: a sample is NaN or infinite.
    """
    if not np.isfinite(samples).all():
        raise ValueError(f"{path.name}: a sample is NaN or infinite")
    with writing_audio(path, 1 if samples.ndim == 1 else samples.shape[1], sample_rate, bits) as file:
        file.tags = tags
        file.write(samples)


@contextmanager
def writing_audio(
    path: Path, channels: int, sample_rate: int = SAMPLE_RATE, bits: Bits = "24"
) -> "Iterator[AudioWriter]":
    """Open a file for [N] or [N, channels], block after block, as `write_audio`; it is there when the block has ended.

    Raises:
        DistillError: another suffix, or the file cannot be written.
    """
    if path.suffix.lower() not in CONTAINERS:
        *others, last = CONTAINERS
        raise DistillError(
            f"{path.name} cannot be written: sounds are written as {', '.join(others)} or {last}, choose one of them."
        )
    container, lossy = CONTAINERS[path.suffix.lower()]
    subtype = lossy or LOSSLESS[bits]
    convert = _CONVERTERS[subtype]() if subtype in _CONVERTERS else whole_numbers
    with replacing(path) as stream:
        with soundfile.SoundFile(stream, "w", sample_rate, channels, subtype, format=container) as file:
            writer = AudioWriter(file, convert, getattr(stream, "raw", None))
            yield writer
        put_tags(stream, container, writer.tags, writer.frames, sample_rate)


class AudioWriter:
    """A file that is open for samples; `tags`, if set, are put into it when it is closed."""

    def __init__(self, file: soundfile.SoundFile, convert: Callable[[Samples], npt.NDArray[Any]], raw: Any) -> None:
        self.tags: SoundTags | None = None
        self.frames = 0
        self._file, self._convert, self._raw = file, convert, raw

    def write(self, samples: Samples) -> None:
        """Write [N] or [N, channels]."""
        for start in range(0, len(samples), BLOCK):  # libsndfile's Vorbis ends the process on one long write
            self._file.write(self._convert(samples[start : start + BLOCK]))
        if getattr(self._raw, "failure", None) is not None:
            raise self._raw.failure
        self.frames += len(samples)


def whole_numbers(samples: Samples) -> npt.NDArray[np.int32]:
    """Samples as the upper 24 of 32 bits: libsndfile would round down for WAV and to the nearest for FLAC."""
    rounded = np.rint(np.asarray(samples, np.float64) * 2**23).clip(-(2**23), 2**23 - 1)
    return rounded.astype(np.int32) << 8


def _floats(samples: Samples) -> npt.NDArray[np.float32]:
    return np.asarray(samples, np.float32).clip(-1.0, 1.0)


class _Dithered:
    """Samples as the upper 16 of 32 bits, with a triangular dither of two steps (Lipshitz, Wannamaker & Vanderkooy 1992),
    so that what fades away does not end in distortion. Silence stays silent."""

    def __init__(self) -> None:
        self._noise = np.random.default_rng(0)

    def __call__(self, samples: Samples) -> npt.NDArray[np.int32]:
        noise = self._noise.random(samples.shape) - self._noise.random(samples.shape)
        rounded = np.rint(np.asarray(samples, np.float64) * 2**15 + noise * (samples != 0))
        whole: npt.NDArray[np.int32] = rounded.clip(-(2**15), 2**15 - 1).astype(np.int32) << 16
        return whole


_CONVERTERS: dict[str, Any] = {"PCM_16": _Dithered, "FLOAT": lambda: _floats}
