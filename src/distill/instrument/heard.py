"""What sounds that were written are like, measured from their files: what a pack calls them by, and a kit places them by."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from distill.audio.mel import log_mel_of
from distill.audio.normalising import lufs
from distill.audio.reading import Samples
from distill.audio.traits import frame_traits, traits_of
from distill.instrument.choosing import kind_heard
from distill.modelfile.opened import LoadedVQModel
from distill.settings.geometry import SAMPLE_RATE

NO_KIND = "sound"
"""What sounds of a model without kinds are called."""


class Heard(NamedTuple):
    """What a sound is like."""

    channels: Samples  # [channels, N] at 48 kHz
    seconds: float
    rate: int
    """Of the file."""
    kind: str
    """The kind of the recording that it is nearest to."""
    loudness: float
    """LUFS; minus infinity for silence."""
    peak_db: float
    brightness: float | None
    """log2 of Hz; None: silence."""
    note: float | None
    """MIDI note number; None: it has no pitch."""


def heard(path: Path, loaded: LoadedVQModel, loop: bool = False) -> Heard:
    """A sound that this program wrote, as it is heard.

    Args:
        loop: whether it is played over and over.
    """
    written, rate = soundfile.read(path, dtype="float32", always_2d=True)
    seconds, channels = len(written) / rate, written.T
    if rate != SAMPLE_RATE and len(written):
        channels = soxr.resample(written, rate, SAMPLE_RATE).T
    channels = np.ascontiguousarray(channels)
    mono = channels.mean(axis=0)
    peak = float(np.abs(channels).max(initial=0.0))
    loudness, peak_db = lufs(channels, SAMPLE_RATE, loop), 20.0 * math.log10(max(peak, 1e-6))
    if not len(mono):
        return Heard(channels, seconds, rate, NO_KIND, loudness, peak_db, None, None)
    spectrogram = loaded.card.spectrogram_config
    mel = log_mel_of(mono, spectrogram)
    traits = traits_of(frame_traits(mel.T, mono, spectrogram), seconds)
    number = kind_heard(loaded, mel)
    kind = loaded.card.kinds[number - 1] if number else NO_KIND
    return Heard(channels, seconds, rate, kind, loudness, peak_db, traits.brightness, traits.pitch)
