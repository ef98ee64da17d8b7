"""Sounds into files: 24 bit, whole or not at all. No torch."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from distill import __version__
from distill.audio.reading import Samples
from distill.errors import DistillError
from distill.files import replacing
from distill.settings.geometry import SAMPLE_RATE


def write_audio(path: Path, samples: Samples, sample_rate: int = SAMPLE_RATE, comment: str = "") -> None:
    """Write [N] or [N, channels] as 24 bit, WAV or FLAC by the suffix, whole or not at all; beyond +-1 is clamped.

    Args:
        comment: text to be kept in the file, after the program's name and version: what it was made with.

    Raises:
        DistillError: another suffix, or the file cannot be written.
        ValueError: a sample is NaN or infinite.
    """
    container = {".wav": "WAV", ".flac": "FLAC"}.get(path.suffix.lower())
    if container is None:
        raise DistillError(f"{path.name} cannot be written: sounds are written as .wav or .flac, choose one of them.")
    if not np.isfinite(samples).all():
        raise ValueError(f"{path.name}: a sample is NaN or infinite")
    with replacing(path) as stream:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        with soundfile.SoundFile(stream, "w", sample_rate, channels, "PCM_24", format=container) as file:
            if comment:  # before the samples: a header cannot grow afterwards
                file.software = f"distill {__version__}"
                text = f"distill {__version__}: {comment}"
                file.comment = text.encode(errors="replace").decode()  # names of files may hold anything
            file.write(_whole_numbers(samples))


def _whole_numbers(samples: Samples) -> npt.NDArray[np.int32]:
    """Samples as the upper 24 of 32 bits: libsndfile would round down for WAV and to the nearest for FLAC."""
    rounded = np.rint(np.asarray(samples, np.float64) * 2**23).clip(-(2**23), 2**23 - 1)
    return rounded.astype(np.int32) << 8
