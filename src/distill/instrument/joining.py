"""Sounds put together without a click: what was made in a gap, beside recordings as they are."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.phase import to_samples, to_spectrum

FADE = 1024
"""Samples of a crossfade (21 ms)."""
WINDOW = 2048
NEAR_BINS = 5
"""Bins that belong to one partial."""


def crossfaded(going: Tensor, coming: Tensor) -> Tensor:
    """[C, N] that fades into [C, N], as loud all the way whether or not the two are alike."""
    length = going.shape[-1]
    if not length:
        return going
    share = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    size = float((going.double().square().sum() * coming.double().square().sum()).sqrt())
    alike = max(float((going.double() * coming.double()).sum()) / size, 0.0) if size > 0 else 1.0
    loudness = ((1.0 - share).square() + share.square() + 2.0 * alike * share * (1.0 - share)).sqrt()
    made = (going * (1.0 - share) + coming * share) / loudness
    return made.to(going.dtype)


def joined(before: Tensor, made: Tensor, first: int, last: int, after: Tensor) -> Tensor:
    """Recordings with what was made between them: [C, N], [C, K], [C, N'] -> [C, N + last - first + N'].

    Args:
        made: also of as much around the gap as fades take, where there is a recording.
        first, last: the samples of `made` that are the gap.
    """
    fade_in = min(FADE, before.shape[1], first)
    fade_out = min(FADE, after.shape[1], made.shape[1] - last)
    return torch.cat(
        [
            before[:, : before.shape[1] - fade_in],
            crossfaded(before[:, before.shape[1] - fade_in :], made[:, first - fade_in : first]),
            made[:, first:last],
            crossfaded(made[:, last : last + fade_out], after[:, :fade_out]),
            after[:, fade_out:],
        ],
        dim=1,
    )


def circular(made: Tensor, margin: int, length: int) -> Tensor:
    """A loop with as much of itself around it [C, K] -> [C, length], its end running into its beginning."""
    fade = min(2 * FADE, made.shape[1] - margin - length, length)
    loop = made[:, margin : margin + length].clone()
    loop[:, :fade] = crossfaded(made[:, margin + length : margin + length + fade], loop[:, :fade])
    return loop


def in_phase(made: Tensor, anchors: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Samples [N] of which every partial is turned so that it has the phase of other sounds at the places where it will be
    joined with them; from one place to the next it glides, over a second by a hertz at most.

    Args:
        anchors: the sample at which a window begins, and the window [WINDOW] of the other sound; in order.
    """
    if not anchors:
        return made
    window = torch.hann_window(WINDOW)
    turns: list[Tensor] = []
    for first, other in anchors:
        own, wanted = (torch.fft.rfft(part * window) for part in (made[first : first + WINDOW], other))
        near = torch.ones(1, 1, NEAR_BINS)
        cross = torch.view_as_real(wanted * own.conj()).T[:, None]  # [2, 1, F]
        summed = F.conv1d(F.pad(cross, (NEAR_BINS // 2, NEAR_BINS // 2)), near)[:, 0]
        angle = torch.atan2(summed[1], summed[0])
        if turns:  # the shorter way round
            angle = turns[-1] + torch.remainder(angle - turns[-1] + math.pi, 2 * math.pi) - math.pi
        turns.append(angle)
    hop = WINDOW // 4
    length = -(-len(made) // hop) * hop
    spectrum = to_spectrum(F.pad(made, (0, length - len(made)))[None], WINDOW)
    places = torch.arange(spectrum.shape[-1]) * hop
    centres = [first + WINDOW // 2 for first, _ in anchors]
    turn = turns[0][:, None].expand(-1, len(places))
    for (begin, end), (one, two) in zip(pairwise(centres), pairwise(turns), strict=True):
        share = ((places - begin) / max(end - begin, 1)).clamp(0.0, 1.0)
        turn = torch.where(places >= begin, one[:, None] + share * (two - one)[:, None], turn)
    return to_samples(spectrum * torch.polar(torch.ones_like(turn), turn), WINDOW, length)[0, : len(made)]
