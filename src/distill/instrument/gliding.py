"""A pitch that is drawn over a sound: the prior is asked for it, and what is missing is played faster or slower.

    mel ─ synthesised ─▶ its own pitch ─ against the curve ─▶ semitones, frame by frame
    mel ─ stretched by as much ─ synthesised ─ played at that speed ─▶ as long as before, along the curve

Because the mel is stretched first, everything stays where it was in time: strokes, loudness, image, the end. What has no pitch
is played as what is around it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy import ndimage
from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.between import between
from distill.audio.griffin_lim import Synthesiser
from distill.audio.pitch import pitch_track
from distill.audio.traits import HIGHEST_HZ, PITCH_RATE
from distill.audio.varispeed import varispeed
from distill.instrument.choosing import MOST_GLIDE
from distill.instrument.envelopes import over_frames
from distill.settings.geometry import SAMPLE_RATE

IN_TUNE = 0.1
"""Semitones that are missing, in the mean, and left as they are."""
PASSES = 2
"""How often a sound is heard and what is missing added."""
MEDIAN_FRAMES = 9
"""A pitch that is heard for less than half of these (50 ms) is none: an octave too high or low for a moment."""
SMOOTH_FRAMES = 2.0
"""Standard deviation of what a speed is smoothed by, so that it glides."""
LEAST_VOICED = 5
"""Frames with a pitch under which a sound has none to be led along a curve."""

Numbers = npt.NDArray[np.float64]


def glided(
    mel: Tensor, notes: Tensor, samples: int, synthesise: Synthesiser, generator: torch.Generator, rate: int
) -> Tensor:
    """A whole sound's mel [M, T] dB -> its samples [samples], of the pitch that is drawn over it, as far as may be.

    Args:
        notes: [C] MIDI note numbers, one in the middle of each column.
        generator: of the phases; each time the sound is synthesised it gives the same.
        rate: of the recordings; what they cannot hold is not played down to where it would be heard.
    """
    made = synthesise(mel, generator.clone_state())[:samples]
    wished = over_frames(notes, 0, mel.shape[1]).numpy()
    semitones = np.zeros(mel.shape[1])
    for _ in range(PASSES):
        missing = missing_semitones(made, wished, synthesise.hop)
        if missing is None:
            break
        before, semitones = semitones, np.clip(semitones + missing, -MOST_GLIDE, MOST_GLIDE)
        if float(np.abs(semitones - before).mean()) <= IN_TUNE:
            break
        way = way_of(semitones, samples, synthesise.hop)
        stretched = synthesise(between(mel, torch.from_numpy(way.frames)), generator.clone_state())
        made = torch.from_numpy(varispeed(below_nyquist(stretched, rate).numpy(), way.places))
    return made


def missing_semitones(made: Tensor, wished: Numbers, hop: int) -> Numbers | None:
    """By how many semitones, smoothly, each frame of a sound [N] is to be played higher to have the wished notes [T]; None: it
    has no pitch."""
    found = own_notes(made, hop)[: len(wished)]
    voiced = np.flatnonzero(~np.isnan(found))
    if len(voiced) < LEAST_VOICED:
        return None
    steady = ndimage.median_filter(found[voiced], MEDIAN_FRAMES, mode="nearest")
    missing = wished - np.interp(np.arange(len(wished)), voiced, steady)
    smooth: Numbers = ndimage.gaussian_filter1d(missing, SMOOTH_FRAMES, mode="nearest")
    return smooth


def own_notes(made: Tensor, hop: int) -> Numbers:
    """The MIDI note number that each frame of a sound [N] has, NaN where there is none: [T]."""
    halved = soxr.resample(made.numpy(), SAMPLE_RATE, PITCH_RATE)
    return pitch_track(halved, PITCH_RATE, hop / SAMPLE_RATE, HIGHEST_HZ).notes


class Way(NamedTuple):
    """How a sound is gone through."""

    places: Numbers
    """[N], where in the stretched sound each sample is."""
    frames: Numbers
    """[T'], where in the mel each frame of the stretched one is."""


def way_of(semitones: Numbers, samples: int, hop: int) -> Way:
    """The way at a speed that is given frame by frame, as semitones [T]."""
    speed = 2.0 ** (np.interp(np.arange(samples) / hop, np.arange(len(semitones)), semitones) / 12.0)
    places = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2.0)])
    count = int(places[-1] // hop) + 2
    return Way(places, np.interp(np.arange(count) * hop, places, np.arange(samples) / hop))
