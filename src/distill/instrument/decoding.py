"""Codes to what is synthesised: mel with grain, and the image, stretched in time where a length asks for it."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.between import between
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import OVERLAP_COLUMNS, decode_codes
from distill.models.image import Cells
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN

FIRST_COLUMNS, AT_ONCE_COLUMNS = 6, 12
"""Columns that are decoded at a time while a sound is heard: few at first, so that it begins soon."""


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


def image_at(loaded: LoadedVQModel, codes: Tensor, places: Tensor, goes_round: bool = False) -> Cells | None:
    """The image of codes [S, Q] at places [n], in frames of the codes: one cell for each, between the middles of those that are
    coded; None: the model is mono.

    Args:
        goes_round: whether the last of them leads to the first, as in a loop; else it is beyond both as it is there.
    """
    if loaded.image is None:
        return None
    cells = loaded.image.decode(codes[:, loaded.card.vqvae_config.rvq_levels])
    return Cells(between(cells.shares, places / cells.frames - 0.5, goes_round), 1)


class DecodedColumns(NamedTuple):
    """Some columns of a sound that is still going on."""

    codes: Tensor  # [S, Q]
    mel: Tensor  # [M, 16 C] dB
    last: bool
    """Whether the sound is over with them."""


def decoded_as_drawn(loaded: LoadedVQModel, columns: Iterator[Tensor], level_db: float) -> Iterator[DecodedColumns]:
    """Columns of codes [8, Q] that follow each other -> what they decode to, as if they were decoded at once."""
    kept, first, done, ended = torch.zeros(0, 0, dtype=torch.long), 0, 0, False
    while True:
        stop = done + (min(AT_ONCE_COLUMNS, done) or FIRST_COLUMNS)
        while not ended and first + len(kept) // BANDS < stop + OVERLAP_COLUMNS:
            column = next(columns, None)
            ended = column is None
            if column is not None:
                kept = torch.cat([kept, column]) if len(kept) else column
        total = first + len(kept) // BANDS
        stop = min(stop, total)
        if stop <= done:
            return
        around = kept[: (stop + OVERLAP_COLUMNS - first) * BANDS]
        mel = decoded_mel(loaded, around, level_db)[
            :, (done - first) * FRAMES_PER_COLUMN : (stop - first) * FRAMES_PER_COLUMN
        ]
        codes = kept[(done - first) * BANDS : (stop - first) * BANDS]
        done = stop
        yield DecodedColumns(codes, mel, ended and done == total)
        forgotten = max(0, done - OVERLAP_COLUMNS) - first
        kept, first = kept[forgotten * BANDS :], first + forgotten
