"""Codes to samples that are safe to play."""

from typing import Any

import numpy as np
import soxr
import torch
from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.griffin_lim import Synthesiser
from distill.audio.loudness import HIGHEST_DB, as_loud, normalised, rms_db
from distill.audio.master import finish
from distill.audio.traits import sound_traits
from distill.instrument.choosing import Sampled
from distill.instrument.decoding import decoded_mel, grained
from distill.instrument.envelopes import as_guided, brightened, following
from distill.instrument.gliding import glided
from distill.instrument.wishes import wishes_of
from distill.modelfile.opened import LoadedVQModel
from distill.models.image import as_heard
from distill.models.loudness import GENERATED_LIMITED_DB
from distill.models.release import released
from distill.models.widths import set_apart
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE


def to_samples(
    loaded: LoadedVQModel,
    sampled: Sampled,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
    loudness_db: float | None = None,
    followed: tuple[Tensor, float] | None = None,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Codes [S, Q] -> samples [channels, N], at most as long as wanted, safe to play.

    Args:
        loudness_db: how loud it is where the settings wish for nothing; None: as it comes.
        followed: how loud a guide is in each frame [T], and by which share its sound shall be so, too.
    """
    levels = loaded.card.vqvae_config.rvq_levels
    codes = sampled.codes[:, :levels]  # of the middle
    # Both are drawn first, and always: the noise that follows is the same whatever becomes of end and loudness.
    end, loudness = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    level_db = float(loaded.codec.typical_level_db)
    mel = grained(loaded, decoded_mel(loaded, sampled.codes, level_db), level_db, generator, settings)
    wishes = wishes_of(loaded, settings)
    wanted, length = round(settings.seconds * SAMPLE_RATE), wishes.samples
    if length is None and sampled.ended and loaded.endings is not None:
        length = loaded.endings.samples(loaded.codec, codes, end)
    is_whole = length is not None and length <= wanted
    if length is not None:
        wanted = min(wanted, length)
        mel = mel[:, : loaded.card.spectrogram_config.frames(length)]
    if wishes.tilt is not None:
        mel = brightened(mel, wishes.tilt, loaded.card.spectrogram_config)
    if wishes.envelope is not None:
        mel = following(mel, wishes.envelope, loaded.card.spectrogram_config)
    if followed is not None:
        mel = as_guided(mel, *followed, loaded.card.spectrogram_config)
    image = None
    if loaded.image is not None and not settings.mono and len(codes):
        image = loaded.image.decode(sampled.codes[:, levels].cpu())
    rate = loaded.card.corpus_manifest.highest_rate
    if wishes.glide is None:
        made = _tuned(synthesise(mel, generator), sampled.tuning)[:wanted]
    else:
        made = glided(mel, wishes.glide, min(wanted, mel.shape[1] * synthesise.hop), synthesise, generator, rate)
    if is_whole and wishes.envelope is None and followed is None:  # else it is said how loud the end is
        made = released(made[None], loaded.release)[0]
    middle = below_nyquist(made, rate)
    wished = loudness_db if wishes.loudness_db is None else wishes.loudness_db
    middle = levelled(loaded, codes, middle, loudness, settings, wished)
    middle = below_nyquist(middle, rate)  # a limiter makes higher ones
    heard = set_apart(as_heard(middle, image), loaded.apart)
    if settings.level == "normalise":
        heard = normalised(heard)
    elif image is not None:
        heard = below_nyquist(_limited(heard), rate)
    return finish(heard, SAMPLE_RATE).numpy()


def _tuned(samples: Tensor, semitones: float) -> Tensor:
    """Samples [N] played faster or slower."""
    if not semitones:
        return samples
    ratio = 2.0 ** (semitones / 12.0)
    return torch.from_numpy(soxr.resample(samples.numpy(), SAMPLE_RATE * ratio, SAMPLE_RATE, quality="VHQ"))


def _limited(channels: Tensor) -> Tensor:
    """Left and right [2, N] of a middle that fits, each of which may be higher than it: turned down for a moment, both alike,
    so that the mix stays as loud as it was and the image where it is."""
    return as_loud(channels, rms_db(channels), HIGHEST_DB, GENERATED_LIMITED_DB)


def levelled(
    loaded: LoadedVQModel,
    codes: Tensor,
    samples: Tensor,
    point: float,
    settings: GenerationSettings,
    loudness_db: float | None,
) -> Tensor:
    """Samples as loud as was asked for; models that have not learned it make all alike, at the typical level."""
    if loudness_db is not None:
        now = sound_traits(samples.numpy(), SAMPLE_RATE, loaded.card.spectrogram_config).loudness
        return as_loud(samples, rms_db(samples) + loudness_db - now, most_db=GENERATED_LIMITED_DB)
    if settings.level == "normalise" or loaded.loudness is None:
        return samples
    return loaded.loudness.applied(samples, loaded.loudness.wanted(loaded.codec, codes, point))
