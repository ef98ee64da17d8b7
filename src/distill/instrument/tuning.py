"""Sounds of a wished pitch, heard as they will come out: whole, with grain, tuned."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from distill.audio.mel import log_mel_of
from distill.audio.traits import PITCH, column_traits, frame_traits, sound_traits
from distill.instrument.choosing import MOST_TUNING, UNVOICED, Judged, Sampled, missed_notes, missed_pitch, nearest
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

MOST_HEARD = 6
"""Sounds of a round that are rendered to be heard: the nearest first, until the nearest one has been."""
IN_TUNE = 0.25
"""Semitones off that need no more tuning."""

Render = Callable[[Sampled], npt.NDArray[np.float32]]
"""The codes of a sound -> its samples [channels, N], as they will come out."""


def heard_whole(
    tried: Sequence[Judged], pitch: float | Tensor, render: Render, spectrogram: SpectrogramConfig
) -> list[Judged]:
    """Of sounds whose first moment was heard without grain, those that are as near when they are heard whole.

    A sound may go on to another note, and grain may cover a low one.

    Args:
        pitch: the wished MIDI note number, or those [C] that are drawn over the sound.

    Returns:
        Those that were heard; unless so many were that the rest was left, none of the others is nearer than the nearest.
    """
    left, heard = list(tried), list[Judged]()
    while left and len(heard) < MOST_HEARD:
        first = nearest(left)
        if heard and nearest(heard).miss <= first.miss:
            break
        left = [each for each in left if each is not first]
        if isinstance(pitch, Tensor):
            heard.append(_followed(first, pitch, render, spectrogram))
        else:
            heard.append(_tuned(first, pitch, render, spectrogram))
    return heard


def _followed(judged: Judged, notes: Tensor, render: Render, spectrogram: SpectrogramConfig) -> Judged:
    """A sound and how far it is from notes [C] as it comes out."""
    samples = render(judged.sampled).mean(0)
    mel = log_mel_of(samples, spectrogram).T
    found = column_traits(frame_traits(mel, samples, spectrogram), len(notes))[:, PITCH]
    miss = missed_notes(found - notes, glided=True)
    return Judged(judged.sampled, judged.miss - judged.pitch_miss + miss, miss)


def _tuned(judged: Judged, pitch: float, render: Render, spectrogram: SpectrogramConfig) -> Judged:
    """A sound tuned by what is off when it is heard whole, as far as it may be."""
    sampled = judged.sampled
    off = _off(render(sampled), pitch, spectrogram)
    if off is not None and abs(off) > IN_TUNE and abs(sampled.tuning + off) <= MOST_TUNING:
        sampled = sampled._replace(tuning=sampled.tuning + off)
        off = _off(render(sampled), pitch, spectrogram)
    miss = missed_pitch(UNVOICED) if off is None else missed_pitch(sampled.tuning) + abs(off)
    return Judged(sampled, judged.miss - judged.pitch_miss + miss, miss)


def _off(samples: npt.NDArray[np.float32], pitch: float, spectrogram: SpectrogramConfig) -> float | None:
    """How many semitones are missing to the wished pitch; None: no pitch is heard."""
    found = sound_traits(samples, SAMPLE_RATE, spectrogram).pitch
    return None if found is None else pitch - found
