"""Whole files through the codec, in pieces that leave no seam, so that memory does not grow with their length."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.models.codec import FLOOR_DB, ConvVQVAE
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, columns

PIECE_COLUMNS = 120
"""Longest piece: 20 s."""
OVERLAP_COLUMNS = 8
"""Context that each piece gets on both sides: more than the networks' reach."""


LEVEL_FRAMES = 4096
SILENCE_MARGIN_DB = 1.0
"""How far over the codec's floor a cell still counts as silence."""

Mel = npt.NDArray[np.floating[Any]]


class Piece(NamedTuple):
    """Columns that are read, and the part of them that counts."""

    read_first: int
    read_stop: int
    first: int
    stop: int

    def counting(self, positions: Tensor) -> Tensor:
        """What is known of each position that was read [S', ...] -> of those that count."""
        return positions[(self.first - self.read_first) * BANDS : (self.stop - self.read_first) * BANDS]


def pieces(total_columns: int) -> Iterator[Piece]:
    """Cut `total_columns` columns into pieces with context on both sides."""
    for first in range(0, total_columns, PIECE_COLUMNS):
        stop = min(first + PIECE_COLUMNS, total_columns)
        yield Piece(max(0, first - OVERLAP_COLUMNS), min(total_columns, stop + OVERLAP_COLUMNS), first, stop)


def level_of(mel: Mel) -> float:
    """The loudest cell in dB of a log-mel [T, M], memory-mapped or not."""
    return max(float(mel[first : first + LEVEL_FRAMES].max()) for first in range(0, len(mel), LEVEL_FRAMES))


def mel_blocks(mel: Mel, level_db: float, device: torch.device) -> Iterator[tuple[Piece, Tensor, int]]:
    """Log-mel [T, M] in dB of any length, memory-mapped or not -> pieces, their mels [1, 1, M, T'] in dB under the level,
    filled up to whole columns, and how many frames of each are sound."""
    for piece in pieces(columns(len(mel))):
        frames = mel[piece.read_first * FRAMES_PER_COLUMN : piece.read_stop * FRAMES_PER_COLUMN]
        block = torch.from_numpy(np.array(frames, dtype=np.float32)).T.to(device) - level_db
        yield piece, ConvVQVAE.pad_to_columns(block)[None, None], len(frames)


@torch.no_grad()
def encode_mel(codec: ConvVQVAE, mel: Mel, level_db: float, device: torch.device) -> Tensor:
    """Log-mel [T, M] in dB of any length, memory-mapped or not -> latents [S, D], S = 8 ceil(T / 16)."""
    return torch.cat([piece.counting(codec.encode(block)[0]) for piece, block, _ in mel_blocks(mel, level_db, device)])


@torch.no_grad()
def encode_codes(codec: ConvVQVAE, mel: Mel, level_db: float, device: torch.device) -> Tensor:
    """Log-mel [T, M] in dB -> codes [S, Q]. Call in eval mode."""
    return codec.latents_to_codes(encode_mel(codec, mel, level_db, device)[None])[0]


@torch.no_grad()
def decode_codes(codec: ConvVQVAE, codes: Tensor, level_db: float) -> Tensor:
    """Codes [S, Q] of any length -> log-mel [M, T] in dB, T = 16 columns.

    What is silence to the codec is silence, and nothing is louder than the level: codes that the decoder has hardly met
    may stand for 30 dB more, which would turn everything else down.
    """
    parts = []
    for piece in pieces(len(codes) // BANDS):
        mel = codec.codes_to_mel(codes[None, piece.read_first * BANDS : piece.read_stop * BANDS])[0, 0]
        skipped = (piece.first - piece.read_first) * FRAMES_PER_COLUMN
        parts.append(mel[:, skipped : skipped + (piece.stop - piece.first) * FRAMES_PER_COLUMN])
    return at_level(torch.cat(parts, dim=1).clamp_max(0.0), level_db, codec.spectrogram.floor_db)


def at_level(under: Tensor, level_db: float | Tensor, silent_db: float) -> Tensor:
    """Decoded log-mel in dB under the level -> in dB; what is silence to the codec is silence."""
    return torch.where(under > FLOOR_DB + SILENCE_MARGIN_DB, under + level_db, silent_db).clamp_min(silent_db)
