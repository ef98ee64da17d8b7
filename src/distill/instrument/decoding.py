"""Codes to what is synthesised: mel with grain, and the image, stretched in time where a length asks for it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import decode_codes
from distill.models.image import Cells
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN


def decoded_mel(loaded: LoadedVQModel, codes: Tensor, level_db: float) -> Tensor:
    """Codes [S, Q], of a stereo model with the image -> log-mel [M, T] in dB, on the CPU."""
    levels = loaded.card.vqvae_config.rvq_levels
    return decode_codes(loaded.codec, codes[:, :levels].to(loaded.codec.typical_level_db.device), level_db).cpu()


def grained(
    loaded: LoadedVQModel, mel: Tensor, level_db: float, generator: torch.Generator, settings: GenerationSettings
) -> Tensor:
    """Log-mel [M, T], T whole columns, with grain drawn for it."""
    if loaded.grain is None or not settings.texture:
        return mel
    return loaded.grain.draw(mel - level_db, generator, settings.texture) + level_db


def stretched(mel: Tensor, frames: int) -> Tensor:
    """[M, T] -> [M, frames], as fast or slow as that makes it."""
    if mel.shape[1] == frames:
        return mel
    return F.interpolate(mel[None], size=frames, mode="linear", align_corners=False)[0]


def image_at(loaded: LoadedVQModel, codes: Tensor, places: Tensor) -> Cells | None:
    """The image of codes [S, Q] at places [n], in frames of the codes: one cell for each; None: the model is mono."""
    if loaded.image is None:
        return None
    cells = loaded.image.decode(codes[:, loaded.card.vqvae_config.rvq_levels])
    last = len(codes) // BANDS * FRAMES_PER_COLUMN - 1
    return Cells(cells.values[..., places.clamp(0, last).long() // cells.frames], 1)
