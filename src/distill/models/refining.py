"""Analysis by synthesis: codes chosen by what they decode to, instead of by what the encoder makes of the sound.

An encoder answers at once and is never quite right, least of all about sounds it has not learned from. Here its latents
are only the start: they are moved against the gradient of the decoded error, quantised again, and each column of codes is
kept where the sound around it came closer. (Closed-loop search is as old as CELP, Schroeder & Atal, 1985; following the
gradient of a network is semi-amortised inference, Kim et al., 2018.)
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.distance import weighed_difference
from distill.models.codec import ConvVQVAE, valid_frames
from distill.models.encoding import Mel, mel_blocks
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN

ROUNDS = 16
FIRST_STEP = 0.25
"""How far the latents of a column move in the first round, as a share of the length of a code's vector (root mean square)."""
LONGER, SHORTER = 1.5, 0.6
"""What happens to a column's step after a round that improved it, and after one that did not."""


class _Tried:
    """Codes of one piece, with the error of each column and the way down from there."""

    def __init__(self, codec: ConvVQVAE, latents: Tensor, mel: Tensor, sound: Tensor) -> None:
        with torch.no_grad():
            self.codes = codec.latents_to_codes(latents)  # [1, S, Q]
        quantised = codec.quantizer.decode(self.codes).detach().requires_grad_(True)
        with torch.enable_grad():
            cells = weighed_difference(mel, codec.decode(quantised), sound)  # [1, 1, M, T]
            (gradient,) = torch.autograd.grad(cells.sum(), quantised)
        self.error = cells.detach().sum((0, 1, 2)).view(-1, FRAMES_PER_COLUMN).sum(1)  # [W]
        by_column = gradient.view(len(self.error), BANDS, -1)
        length = by_column.square().sum((1, 2), keepdim=True).sqrt().clamp_min(1e-9)
        self.direction = by_column / length * BANDS**0.5  # [W, 8, D]


def refined_codes(codec: ConvVQVAE, mel: Mel, level_db: float, device: torch.device, rounds: int = ROUNDS) -> Tensor:
    """Log-mel [T, M] in dB of any length, memory-mapped or not -> codes [S, Q], S = 8 ceil(T / 16). Call in eval mode.

    Never worse than `encode_codes` in the error that the codec is trained by; costs as much as `rounds` decodings with
    gradient. No gradient reaches the codec.
    """
    return torch.cat(list(refined_pieces(codec, mel, level_db, device, rounds)))


def refined_pieces(
    codec: ConvVQVAE, mel: Mel, level_db: float, device: torch.device, rounds: int = ROUNDS
) -> Iterator[Tensor]:
    """`refined_codes` for who waits: the codes of one piece [S', Q] after the other; `encoding.pieces` says of how many."""
    for piece, block, frames in mel_blocks(mel, level_db, device):
        yield piece.counting(_refined(codec, block, frames, rounds))


def _refined(codec: ConvVQVAE, mel: Tensor, frames: int, rounds: int) -> Tensor:
    """[1, 1, M, T] dB under the level, of which `frames` are sound -> [S, Q]."""
    sound = valid_frames(torch.tensor([frames], device=mel.device), mel.shape[-1])
    with torch.no_grad():
        latents = codec.encode(mel)
    best = now = _Tried(codec, latents, mel, sound)
    error, direction = now.error, now.direction
    length = codec.codebooks()[0].square().sum(-1).mean().sqrt()
    step = FIRST_STEP * length.expand(len(error), 1, 1)
    for number in range(rounds):
        last = number == rounds - 1  # it tries what the rounds before it have chosen
        moved = latents if last else latents - (step * direction).view_as(latents)
        now = _Tried(codec, moved, mel, sound)
        if float(now.error.sum()) < float(best.error.sum()):
            best = now
        # A column also sounds in its neighbours, so it is judged with them. The errors of columns that stay are those of
        # another round, with other neighbours: a guess, which is why only what was decoded as a whole can be the best.
        closer = _with_neighbours(now.error) < _with_neighbours(error)
        chosen = closer[:, None, None]
        error = torch.where(closer, now.error, error)
        direction = torch.where(chosen, now.direction, direction)
        latents = torch.where(chosen, moved.view_as(direction), latents.view_as(direction)).view_as(latents)
        step = torch.where(chosen, step * LONGER, step * SHORTER)
    return best.codes[0]


def _with_neighbours(error: Tensor) -> Tensor:
    """[W] -> [W], each with the one before and the one after it."""
    padded = F.pad(error, (1, 1))
    return padded[:-2] + padded[1:-1] + padded[2:]
