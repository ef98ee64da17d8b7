"""Where in its last column a sound ends: columns are 0.17 s long, and sounds end where they like.

The codec sees silence after the end of a file and is never told what to make of it, so what the last column decodes to
shows where that was, to within a frame or two. A softmax regression on it gives the chances of each frame, and a sound
that is generated ends where one number of its own generator points to.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.codec import FLOOR_DB, ConvVQVAE
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH

TAIL_COLUMNS = 2
"""Columns that are decoded to look at the last of them."""
GROUPS = 16
"""Groups of mel bands whose course is looked at, beside that of the whole."""
FEATURES = (1 + GROUPS) * FRAMES_PER_COLUMN
PENALTY = 1e-5
"""Of squared weights. Bits for a held-out file's frame of 16, five folds: drums 2.87, digits 2.07, tabla 3.22."""
BLUR_FRAMES = 0.4
"""How far an end is also thought possible beside where it was."""
MOST_ENDS, AT_ONCE = 20_000, 256
LEAST_SAMPLES = 960
"""No sound is shorter than 20 ms, as no recording is."""


class Endings(nn.Module):
    """The chances that a sound fills 1 to 16 frames of its last column."""

    weight: Tensor
    bias: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(FEATURES, FRAMES_PER_COLUMN))
        self.register_buffer("bias", torch.zeros(FRAMES_PER_COLUMN))

    def forward(self, features: Tensor) -> Tensor:
        """[..., FEATURES] -> logits [..., 16]."""
        return features @ self.weight + self.bias

    @torch.no_grad()
    def samples(self, codec: ConvVQVAE, codes: Tensor, point: float) -> int:
        """Samples of a sound of codes [S, Q] that ends in its last column.

        Args:
            point: in [0, 1), where the distribution of ends is inverted.
        """
        features = end_features(codec, codes[None, -TAIL_COLUMNS * BANDS :])
        chances = self(features[0].to(self.weight.device)).double().softmax(-1).cpu()
        upto = chances.cumsum(-1)
        frame = min(int(torch.searchsorted(upto, torch.tensor(point, dtype=torch.float64))), FRAMES_PER_COLUMN - 1)
        share = (point - float(upto[frame] - chances[frame])) / max(float(chances[frame]), 1e-12)
        before = (len(codes) // BANDS - 1) * FRAMES_PER_COLUMN + frame
        return max(math.ceil((before + min(max(share, 0.0), 1.0)) * HOP_LENGTH), LEAST_SAMPLES)


@torch.no_grad()
def end_features(codec: ConvVQVAE, tails: Tensor) -> Tensor:
    """The last columns of sounds, codes [B, S, Q] -> [B, FEATURES], on the CPU."""
    device = codec.typical_level_db.device
    return column_features(codec.codes_to_mel(tails.to(device))[:, 0, :, -FRAMES_PER_COLUMN:].cpu())


def column_features(mel: Tensor) -> Tensor:
    """The log-mel of last columns, [B, M, 16] dB under the level -> [B, FEATURES]."""
    mel = mel.clamp(FLOOR_DB, 0.0)
    whole = 10.0 * (10.0 ** (mel / 10.0)).mean(1).log10()
    parts = mel.view(len(mel), GROUPS, -1, FRAMES_PER_COLUMN).mean(2).flatten(1)
    return torch.cat([whole / 25.0, parts / 100.0], dim=1)


def fit_endings(codec: ConvVQVAE, ends: Sequence[tuple[Tensor, int]]) -> Endings:
    """Learn where sounds end.

    Args:
        ends: codes [S, Q] of whole sounds, and how many frames (1 to 16) of the last column are sound.
    """
    ends = ends[:: -(-len(ends) // MOST_ENDS)]
    features = torch.zeros(len(ends), FEATURES)
    for count in range(1, TAIL_COLUMNS + 1):  # those that are shorter than the tail by themselves
        chosen = [i for i, (codes, _) in enumerate(ends) if min(len(codes) // BANDS, TAIL_COLUMNS) == count]
        for some in (chosen[first : first + AT_ONCE] for first in range(0, len(chosen), AT_ONCE)):
            features[some] = end_features(codec, torch.stack([ends[i][0][-count * BANDS :] for i in some]))
    centre = features.mean(0)
    scale = (features - centre).square().sum(1).mean().sqrt().clamp_min(1e-6)
    found = _regression((features - centre) / scale, torch.tensor([frames - 1 for _, frames in ends]))
    endings = Endings()
    endings.weight.copy_(found[0] / scale)
    endings.bias.copy_(found[1] - centre @ endings.weight)
    return endings


def _regression(features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax regression of [N, F] on [N] -> weight [F, 16], bias [16]."""
    place = torch.arange(FRAMES_PER_COLUMN, dtype=torch.float32)
    blurred = (-0.5 * ((place[:, None] - place) / BLUR_FRAMES).square()).softmax(-1)
    targets = blurred[frames]
    weight = torch.zeros(features.shape[1], FRAMES_PER_COLUMN, requires_grad=True)
    bias = torch.zeros(FRAMES_PER_COLUMN, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(features @ weight + bias, targets) + PENALTY * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
