"""Which of several sounds is nearest to a wish: their codes are decoded and measured as recordings are."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.audio.traits import BRIGHTNESS, LOUDNESS, ONSETS, PITCH, column_traits, frame_traits, traits_of
from distill.corpus.kinds import Kinds, mean_mel, nearest_kind
from distill.instrument.decoding import decoded_mel
from distill.instrument.wishes import Wishes
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import open_canvas
from distill.settings.geometry import BANDS

GOOD_MISS = 0.25
"""A quarter of an octave of brightness, a few semitones that are tuned, no onset more or less: near enough."""
UNVOICED = 24.0
"""What a sound without a pitch counts as, semitones off."""
MOST_TUNING = 7.0
"""Semitones that a sound is played faster or slower at most: a fifth, as far as samplers stretch a recording. More tries are made
before it comes to that."""
TUNED_MISS = 0.05
"""What each semitone of tuning counts as; beyond what is tuned, each counts as one."""
MOST_GLIDE = 15.0
"""Semitones that a moment is played faster or slower at most, where a pitch is drawn over the sound: so curves of two and a half
octaves can be followed."""
WRONG_KIND = 2.0
WORTH = (0.1, 1.0, 0.1, 0.5)
"""What a dB, an octave of brightness, a semitone and an onset in a column count as where they are off a curve."""
SOFTEST_DB = -40.0
"""Under the sound's loudness, all columns are as soft as that to a curve."""
STEP_MISS, MOST_STEP = 0.05, 12.0
"""What each semitone from a column to the next counts as, so many at most, where a sound is to be led along a curve: of one that
goes to and fro between octaves YIN may hear another one than people do."""
UNVOICED_SHARE = 2.0
"""What columns without a pitch count as, if all are."""
HEARD_FRAMES = 128
"""Frames of a sound that are synthesised to hear its pitch."""


class Sampled(NamedTuple):
    """The codes of one sound."""

    codes: Tensor  # [S, Q]
    ended: bool
    """Whether it ends in its last column by itself; else it would go on."""
    log_likelihood: Tensor  # [S, Q], nats, what the prior made of each code
    tuning: float = 0.0
    """Semitones that it is to be played higher, to have the pitch that was wished for."""


class Judged(NamedTuple):
    """A sound, and how near it is to what is wished for."""

    sampled: Sampled
    miss: float
    pitch_miss: float = 0.0
    """What of it is of the pitch."""

    @property
    def good(self) -> bool:
        """Whether it is near enough."""
        return self.miss <= GOOD_MISS


def nearest(judged: Sequence[Judged]) -> Judged:
    """The sound that is nearest to what is wished for; of equally near ones the likeliest."""
    return min(judged, key=lambda each: (round(each.miss, 3), -float(each.sampled.log_likelihood.mean())))


def judged(loaded: LoadedVQModel, sampled: Sampled, wishes: Wishes, synthesise: Synthesiser | None) -> Judged:
    """How far a sound is from what is wished for; without `synthesise` pitches are not heard."""
    if not len(sampled.codes):
        return Judged(sampled._replace(log_likelihood=torch.zeros(1)), float("inf"))
    mel = decoded_mel(loaded, sampled.codes, float(loaded.codec.typical_level_db))  # [M, T]
    columns = len(sampled.codes) // BANDS
    miss = 0.0
    if wishes.kind and loaded.kind_examples is not None and kind_heard(loaded, mel) != wishes.kind:
        miss += WRONG_KIND
    if wishes.traits is None:
        return Judged(sampled, miss)
    if wishes.drawn:
        off, pitch_miss = _off_curve(loaded, mel, wishes, columns, synthesise)
        return Judged(sampled, miss + (off + pitch_miss), pitch_miss)
    samples = np.zeros(0, np.float32)
    if not wishes.traits[PITCH].isnan() and synthesise is not None:
        samples = synthesise(mel[:, :HEARD_FRAMES], torch.Generator().manual_seed(0)).numpy()
        mel = mel[:, :HEARD_FRAMES]
    found = traits_of(frame_traits(mel.T, samples, loaded.card.spectrogram_config), 0.0)
    onsets = found.onsets / columns
    wished = wishes.traits.tolist()
    pitch_miss = 0.0
    if not math.isnan(wished[BRIGHTNESS]):
        miss += 10.0 if found.brightness is None else abs(found.brightness - wished[BRIGHTNESS])
    if not math.isnan(wished[ONSETS]):
        miss += max(0.0, abs(onsets - wished[ONSETS]) * columns - 0.5)  # half an onset is none
    if not math.isnan(wished[PITCH]) and synthesise is not None:
        off = UNVOICED if found.pitch is None else wished[PITCH] - found.pitch
        pitch_miss = missed_pitch(off)
        if found.pitch is not None:
            sampled = sampled._replace(tuning=max(-MOST_TUNING, min(MOST_TUNING, off)))
    return Judged(sampled, miss + pitch_miss, pitch_miss)


def missed_pitch(semitones: float) -> float:
    """What it counts as that a sound is that far off the wished pitch, before it is tuned."""
    return TUNED_MISS * abs(semitones) + max(0.0, abs(semitones) - MOST_TUNING)


def _off_curve(
    loaded: LoadedVQModel, mel: Tensor, wishes: Wishes, columns: int, synthesise: Synthesiser | None
) -> tuple[float, float]:
    """How far a sound [M, T] is from what is drawn over it, in the mean over its columns, and from the pitch; silent ones count
    for loudness alone."""
    assert wishes.traits is not None
    wished = wishes.of(open_canvas(columns, BANDS, 1), 1.0).traits
    assert wished is not None
    samples = np.zeros(0, np.float32)
    if synthesise is not None and not bool(wished[:, PITCH].isnan().all()):
        samples = synthesise(mel, torch.Generator().manual_seed(0)).numpy()
    frames = frame_traits(mel.T, samples, loaded.card.spectrogram_config)
    found = column_traits(frames, columns)
    found[:, LOUDNESS] = (found[:, LOUDNESS] - traits_of(frames, 0.0).loudness).clamp_min(SOFTEST_DB)
    off = (found - wished.clamp_min(SOFTEST_DB)).abs()  # [C, 4], NaN where nothing is wished or heard
    each = off.nanmean(0).nan_to_num(0.0) * torch.tensor(WORTH)
    pitch_miss = 0.0
    if not bool(wished[:, PITCH].isnan().all()) and synthesise is not None:
        if wishes.glide is not None:
            each[PITCH], pitch_miss = _wandering(found[:, PITCH]), missed_notes(found[:, PITCH] - wished[:, PITCH])
        else:
            pitch_miss = float((found[:, PITCH].isnan() & ~wished[:, PITCH].isnan()).float().mean()) * UNVOICED_SHARE
    return float(each.sum()), pitch_miss


def _wandering(notes: Tensor) -> float:
    """What it counts as that a sound with such notes [C], NaN where there is none, does not hold one."""
    known = notes[~notes.isnan()]
    return STEP_MISS * float(known.diff().abs().clamp_max(MOST_STEP).mean()) if len(known) > 1 else 0.0


def missed_notes(off: Tensor, glided: bool = False) -> float:
    """What it counts as that columns [C] are so many semitones off what is drawn, NaN where they have no pitch.

    Args:
        glided: whether the sound has been led along the curve; else that is still to come.
    """
    away = off[~off.isnan()].abs()
    each = WORTH[PITCH] * away if glided else TUNED_MISS * away + (away - MOST_GLIDE).clamp_min(0.0)
    return (float(each.mean()) if len(each) else 0.0) + float(off.isnan().float().mean()) * UNVOICED_SHARE


def kind_heard(loaded: LoadedVQModel, mel: Tensor) -> int:
    """The kind of the recording that a sound [M, T] is nearest to, from 1 on; 0: none, or the model knows no kinds."""
    examples = loaded.kind_examples
    if examples is None:
        return 0
    kinds = Kinds(loaded.card.kinds, tuple(k - 1 if k else None for k in examples.of_file.tolist()), "clusters")
    found = nearest_kind(mean_mel(mel.T.numpy()), examples.mean_mels.numpy(), kinds)
    return 0 if found is None else found + 1
