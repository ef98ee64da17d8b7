"""Codes to samples that are safe to play."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.audio.master import finish
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import decode_codes
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
    """Codes [S, Q] -> samples [N], at most as long as wanted, safe to play."""
    level = loaded.codec.typical_level_db
    mel = decode_codes(loaded.codec, codes.to(level.device), float(level)).cpu()
    if loaded.card.texture_db is not None and settings.texture:
        mel = textured(mel, settings.texture * torch.tensor(loaded.card.texture_db), float(level), generator)
    samples = synthesise(mel, generator)[: round(settings.seconds * SAMPLE_RATE)]
    return finish(samples, SAMPLE_RATE).numpy()
