"""Codes to samples that are safe to play."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.audio.master import finish
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import decode_codes
from distill.models.image import widened
from distill.models.texture import textured
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE


def to_samples(
    loaded: LoadedVQModel,
    codes: Tensor,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Codes [S, Q] -> samples [channels, N], at most as long as wanted, safe to play."""
    level = loaded.codec.typical_level_db
    levels = loaded.card.vqvae_config.rvq_levels
    mel = decode_codes(loaded.codec, codes[:, :levels].to(level.device), float(level)).cpu()
    if loaded.card.texture_db is not None and settings.texture:
        mel = textured(mel, settings.texture * torch.tensor(loaded.card.texture_db), float(level), generator)
    samples = synthesise(mel, generator)[: round(settings.seconds * SAMPLE_RATE)]
    stereo = loaded.image is not None and not settings.mono and len(codes)
    image = loaded.image.decode(codes[:, levels].cpu()) if stereo and loaded.image is not None else None
    return finish(as_heard(samples, image), SAMPLE_RATE).numpy()


def as_heard(middle: Tensor, image: Tensor | None) -> Tensor:
    """Samples [N] and the cells of their image, None for a mono sound -> [channels, N]."""
    return middle[None] if image is None else widened(middle, image)
