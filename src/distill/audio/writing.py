"""Sounds into files: 24 bit, whole or not at all. No torch."""

from pathlib import Path

import numpy as np
import soundfile

from distill.audio.reading import Samples
from distill.errors import DistillError
from distill.files import replacing
from distill.settings.geometry import SAMPLE_RATE


def write_audio(path: Path, samples: Samples, sample_rate: int = SAMPLE_RATE) -> None:
    """Write [N] or [N, channels] as 24 bit, WAV or FLAC by the suffix, whole or not at all; beyond +-1 is clamped.

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
        soundfile.write(stream, np.clip(samples, -1.0, 1.0), sample_rate, format=container, subtype="PCM_24")
