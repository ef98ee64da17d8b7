"""What the codec's networks are built of: norms, convolutions, and blocks that halve and double.

Tensors are channels-last [B, H, W, C]: H mel rows, W frames or columns. That makes every 1 x 1 convolution a plain
matrix product, which is where a processor is fastest.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXPANSION = 3
MIXED_CHANNELS = 32


def split_patches(x: Tensor, size: int) -> Tensor:
    """[B, H, W, C] -> [B, H/size, W/size, size * size * C]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(batch, height // size, width // size, size * size * channels)


def join_patches(x: Tensor, size: int) -> Tensor:
    """The inverse of `split_patches`."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height, width, size, size, channels // size**2)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(batch, height * size, width * size, channels // size**2)


class ChannelNorm(nn.Module):
    """RMS norm over the channels of each place: nothing is shared along time, so crops and whole files agree."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        # [B, H, W, C] -> the same
        return F.rms_norm(x, x.shape[-1:], self.gain.to(x.dtype), eps=1e-6)


class Convolution(nn.Module):
    """A 2-D convolution over channels-last tensors that keeps height and width."""

    def __init__(self, before: int, after: int, size: int, groups: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(before, after, size, padding=size // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        # [B, H, W, C] -> [B, H, W, C']
        out: Tensor = self.layer(x.permute(0, 3, 1, 2))
        return out.permute(0, 2, 3, 1)


class DepthwiseConvolution(Convolution):
    """Every channel by itself, always in float32: it has few products, and in bfloat16 a processor takes four times as
    long for its gradient."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, channels, size, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        # [B, H, W, C] -> the same
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class LocalBlock(nn.Module):
    """In the manner of ConvNeXt (Liu et al., 2022): depthwise 5 x 5, norm, a wide pointwise layer and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = DepthwiseConvolution(channels, 5)
        self.norm = ChannelNorm(channels)
        self.expand = nn.Linear(channels, EXPANSION * channels)
        self.reduce = _small(nn.Linear(EXPANSION * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        # [B, H, W, C] -> the same
        change: Tensor = self.reduce(F.gelu(self.expand(self.norm(self.depthwise(x)))))
        return x + change


class BandMixing(nn.Module):
    """Lets the bands of one column and its two neighbours see each other in full, which convolutions do only nearby."""

    def __init__(self, bands: int, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.squeeze = nn.Linear(channels, MIXED_CHANNELS)
        self.mix = nn.Linear(3 * bands * MIXED_CHANNELS, bands * MIXED_CHANNELS)
        self.widen = _small(nn.Linear(MIXED_CHANNELS, channels))

    def forward(self, x: Tensor) -> Tensor:
        # [B, H, W, C] -> the same, H the bands
        batch, bands, width, _ = x.shape
        column = self.squeeze(self.norm(x)).transpose(1, 2).reshape(batch, width, -1)  # [B, W, H * 32]
        around = F.pad(column, (0, 0, 1, 1))
        around = torch.cat([around[:, :-2], column, around[:, 2:]], dim=-1)
        mixed = F.gelu(self.mix(around)).reshape(batch, width, bands, MIXED_CHANNELS).transpose(1, 2)
        change: Tensor = self.widen(mixed)
        return x + change


class Halve(nn.Module):
    """[B, H, W, C] -> [B, H/2, W/2, C']."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.project = nn.Linear(4 * before, after)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(split_patches(x, 2))
        return out


class Double(nn.Module):
    """[B, H, W, C] -> [B, 2 H, 2 W, C']."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.project = nn.Linear(before, 4 * after)

    def forward(self, x: Tensor) -> Tensor:
        return join_patches(self.project(x), 2)


class RowEmbedding(nn.Module):
    """A learned offset per row and channel: tells the convolutions, which look alike everywhere, how high they are."""

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(rows, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offset.to(x.dtype)


def _small(layer: nn.Linear) -> nn.Linear:
    """Start a block's last layer near zero, so that a deep stack begins as the identity."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()
    return layer
