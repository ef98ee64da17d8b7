"""Which of several sounds is nearest to a wish: their codes are decoded and measured as recordings are."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.audio.traits import BRIGHTNESS, ONSETS, PITCH, frame_traits, traits_of
from distill.corpus.kinds import Kinds, mean_mel, nearest_kind
from distill.instrument.wishes import Wishes
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import decode_codes
from distill.settings.geometry import BANDS

SEMITONE = 1.0
"""A miss of the pitch by so much counts as one unit; of the brightness an octave, of the onsets one."""
UNVOICED = 24.0
"""What a sound without a pitch counts as, semitones off."""
MOST_TUNING = 4.0
"""Semitones that a sound is played faster or slower at most: as far as samplers usually stretch a recording."""
WRONG_KIND = 2.0
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


def nearest(loaded: LoadedVQModel, tried: Sequence[Sampled], wishes: Wishes, synthesise: Synthesiser | None) -> Sampled:
    """The sound that is nearest to what is wished for; of equally near ones the likeliest."""
    judged = [_judged(loaded, each, wishes, synthesise) for each in tried]
    order = sorted(range(len(tried)), key=lambda i: (round(judged[i].miss, 3), -float(tried[i].log_likelihood.mean())))
    best = judged[order[0]]
    return tried[order[0]]._replace(tuning=max(-MOST_TUNING, min(MOST_TUNING, best.tuning)))


class _Judged(NamedTuple):
    miss: float
    tuning: float = 0.0


def _judged(loaded: LoadedVQModel, sampled: Sampled, wishes: Wishes, synthesise: Synthesiser | None) -> _Judged:
    """How far a sound is from what is wished for, and by how many semitones it is too low."""
    if not len(sampled.codes):
        return _Judged(float("inf"))
    codes = sampled.codes[:, : loaded.card.vqvae_config.rvq_levels]
    level = loaded.codec.typical_level_db
    mel = decode_codes(loaded.codec, codes.to(level.device), float(level)).cpu()  # [M, T]
    miss = 0.0
    if wishes.kind and loaded.kind_examples is not None and _kind_of(loaded, mel) != wishes.kind:
        miss += WRONG_KIND
    if wishes.traits is None:
        return _Judged(miss)
    samples = np.zeros(0, np.float32)
    if not wishes.traits[PITCH].isnan() and synthesise is not None:
        samples = synthesise(mel[:, :HEARD_FRAMES], torch.Generator().manual_seed(0)).numpy()
        mel = mel[:, :HEARD_FRAMES]
    found = traits_of(frame_traits(mel.T, samples, loaded.card.spectrogram_config), 0.0)
    onsets = found.onsets / max(len(codes) // BANDS, 1)
    for trait, value, unit in (
        (BRIGHTNESS, found.brightness, 1.0),
        (PITCH, found.pitch, SEMITONE),
        (ONSETS, onsets, BANDS / max(len(codes), 1)),
    ):
        wished = float(wishes.traits[trait])
        if wished == wished:
            miss += UNVOICED if value is None else abs(value - wished) / unit
    wished = float(wishes.traits[PITCH])
    return _Judged(miss, 0.0 if found.pitch is None or wished != wished else wished - found.pitch)


def _kind_of(loaded: LoadedVQModel, mel: Tensor) -> int:
    """The kind of the recording that a sound [M, T] is nearest to, from 1 on; 0: none."""
    examples = loaded.kind_examples
    assert examples is not None
    kinds = Kinds(loaded.card.kinds, tuple(k - 1 if k else None for k in examples.of_file.tolist()), "clusters")
    found = nearest_kind(mean_mel(mel.T.numpy()), examples.mean_mels.numpy(), kinds)
    return 0 if found is None else found + 1
