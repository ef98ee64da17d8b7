"""Sounds put together without a click: what was made in a gap, beside recordings as they are."""

import torch
from torch import Tensor

FADE = 1024
"""Samples of a crossfade (21 ms)."""


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
