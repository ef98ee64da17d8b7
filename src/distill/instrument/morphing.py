"""Between two sounds: steps of which each has a mixture of both for its guide, and traits between theirs for wishes.

first   ▇▆▅▄▃▂▁              way 0     both are stretched to the step's length and coded; what their codes stand for
step      ▇▆▅▄▄▃▃▂▂▁         way 0.5   is mixed. Closeness is a squared distance, so closeness to a mixture of two
second  ▇▇▆▆▅▅▄▄▃▃▂▂▁▁       way 1     is the mixture of both closenesses (decision 0114).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from distill.audio.traits import BRIGHTNESS, PITCH, TRAITS, SoundTraits, sound_traits
from distill.instrument.asked import Asked
from distill.instrument.canvases import mixed_canvas
from distill.instrument.decoding import stretched
from distill.instrument.recordings import Recording, encode_recording, mel_of
from distill.instrument.wishes import Wishes, wishes_of
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Canvas
from distill.models.encoding import encode_codes, level_of
from distill.settings.generation import USUAL_STRENGTH, GenerationSettings
from distill.settings.geometry import BANDS, SAMPLE_RATE

CLOSELY = 4.0
"""How much more than beside --like the guide counts at the same strength: what comes of it shall be between the two."""
AS_LEARNED = 1.0 / USUAL_STRENGTH
"""What wishes are multiplied by: exaggerated, they lead steps away from both sounds."""


class End(NamedTuple):
    """One of the two sounds."""

    samples: int
    mel: Tensor  # [M, T] dB
    level_db: float
    """Its loudest mel cell: each is coded under its own, and how loud it is becomes a wish."""
    image: Tensor | None
    """[S], codes of the image of a stereo model."""
    traits: SoundTraits


class Morph(NamedTuple):
    """Two sounds to go between."""

    first: End
    second: End
    stereo: bool
    """Whether either has an image that counts."""


class Step(NamedTuple):
    """One sound between them, as it is asked for."""

    canvas: Canvas
    wishes: Wishes
    loudness_db: float
    samples: int


def morph_of(loaded: LoadedVQModel, asked: Asked) -> Morph:
    """What is known of the two sounds."""
    first, second = asked.recordings
    stereo = any(len(each.planes) > 1 for each in asked.recordings)
    return Morph(_end(loaded, first), _end(loaded, second), stereo)


def _end(loaded: LoadedVQModel, recording: Recording) -> End:
    mel = mel_of(loaded, recording)
    level_db = level_of(mel.T.numpy())
    image = None
    if loaded.image is not None:
        image = encode_recording(loaded, recording, level_db)[:, loaded.card.vqvae_config.rvq_levels]
    traits = sound_traits(recording.planes[0], SAMPLE_RATE, loaded.card.spectrogram_config)
    return End(recording.samples, mel, level_db, image, traits)


def step_of(loaded: LoadedVQModel, morph: Morph, way: float, settings: GenerationSettings) -> Step:
    """What is asked for at a share of the way: 0 is after the first sound, 1 after the second.

    Its length is between theirs by ratio, everything else by difference (of log2 Hz, semitones and dB).
    """
    assert loaded.prior is not None
    first, second = morph.first, morph.second
    samples = round(first.samples ** (1.0 - way) * second.samples**way)
    frames = loaded.card.spectrogram_config.frames(samples)
    codes = [_as_long(loaded, end, frames).to(loaded.prior.vectors.device) for end in (first, second)]
    levels = loaded.card.vqvae_config.rvq_levels + morph.stereo
    closely = settings.like_strength * CLOSELY / (1.0 + (CLOSELY - 1.0) * settings.like_strength)
    canvas = mixed_canvas(loaded.prior, codes[0], codes[1], way, closely, levels)
    wishes = wishes_of(loaded, settings, canvas.columns).led()
    prior = loaded.card.prior_config
    if prior is not None and prior.traits:
        wishes = wishes.filled_up(_between(first.traits, second.traits, way))
    loudness = (1.0 - way) * first.traits.loudness + way * second.traits.loudness
    return Step(canvas, wishes, loudness, samples)


def _as_long(loaded: LoadedVQModel, end: End, frames: int) -> Tensor:
    """The codes [S, Q] of a sound that is stretched to so many frames, on the CPU."""
    mel = stretched(end.mel, frames).T.numpy()
    codes = encode_codes(loaded.codec, mel, end.level_db, loaded.codec.typical_level_db.device).cpu()
    if end.image is None:
        return codes
    count, known = len(codes) // BANDS, len(end.image) // BANDS
    places = (torch.arange(count) * known // count).clamp_max(known - 1)
    image = end.image.view(known, BANDS)[places].flatten()
    return torch.cat([codes, image[:, None]], dim=1)


def _between(first: SoundTraits, second: SoundTraits, way: float) -> Tensor:
    """How bright and how high [4]; NaN where one of both has none. Not onsets: the guide says where they are."""
    traits = torch.full((len(TRAITS),), math.nan)
    for place, one, other in (
        (BRIGHTNESS, first.brightness, second.brightness),
        (PITCH, first.pitch, second.pitch),
    ):
        if one is not None and other is not None:
            traits[place] = (1.0 - way) * one + way * other
    return traits
