"""Stage 1: the codec, a convolutional autoencoder over log-mel spectrograms with a residual-quantised bottleneck.

    log-mel [B, 1, 128, T] ─ encoder, four stride-2 stages ─▶ [B, D, 8, T/16] ─ time-major ─▶ latents [B, S, D]
    latents ─ ResidualVQ ─▶ codes [B, S, Q] ─ codebooks ─▶ latents ─ decoder ─▶ log-mel [B, 1, 128, T]

S = 8 * T/16 positions; position = column * 8 + band, so a prefix of positions is the past. Every layer is a
convolution in time or works on one column, so a file of any length is encoded whole, without seams.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from distill.config import SpectrogramConfig, VQVAEConfig

BANDS = 8
"""Latent rows: positions in one column, from low to high frequency."""
FRAMES_PER_COLUMN = 16
"""Spectrogram frames that one column of codes describes (0.17 s)."""
CODEBOOK_DECAY = 0.95
"""Decay of the moving averages behind the codebooks, per step."""
DEAD_CODE_THRESHOLD = 0.3
"""A code used less often than this per step, in the moving average, is put back among the current latents."""


class VQVAEOutput(NamedTuple):
    """What the codec makes of a batch."""

    mel: Tensor  # [B, 1, M, T] dB, the reconstruction
    codes: Tensor  # [B, S, Q], -1 where not valid
    commitment_loss: Tensor  # scalar


class Quantised(NamedTuple):
    """What the residual quantiser makes of latents."""

    latents: Tensor  # [B, S, D], zero where not valid
    codes: Tensor  # [B, S, Q], -1 where not valid
    commitment_loss: Tensor  # scalar, mean over valid positions and levels


def columns(frames: int) -> int:
    """How many columns of codes hold `frames` frames."""
    return -(-frames // FRAMES_PER_COLUMN)


def valid_positions(frames: Tensor, total_columns: int) -> Tensor:
    """[B] frames of sound -> [B, S] bool: the positions whose column holds any of it."""
    used = torch.div(frames + FRAMES_PER_COLUMN - 1, FRAMES_PER_COLUMN, rounding_mode="floor")
    column = torch.arange(total_columns * BANDS, device=frames.device) // BANDS
    return column[None] < used[:, None]


def valid_frames(frames: Tensor, total_frames: int) -> Tensor:
    """[B] frames of sound -> [B, 1, 1, T] bool: the frames that hold it."""
    return (torch.arange(total_frames, device=frames.device)[None] < frames[:, None])[:, None, None]


class ChannelNorm(nn.Module):
    """Layer norm over channels at each place: nothing is shared along time, so crops and whole files agree."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        # [B, C, H, W] -> the same
        normed: Tensor = self.norm(x.movedim(1, -1))
        return normed.movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Pre-norm 3 x 3 convolution and a 1 x 1 back, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ChannelNorm(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


class BandMixing(nn.Module):
    """A residual layer that lets the bands of one column see each other in full, which convolutions do only nearby."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.mix = nn.Linear(BANDS, BANDS)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # [B, C, 8, W] -> the same
        mixed: Tensor = self.mix(self.norm(x).transpose(2, 3))
        change: Tensor = self.out(nn.functional.gelu(mixed.transpose(2, 3)))
        return x + change


class FrequencyEmbedding(nn.Module):
    """A learned offset per channel and row: tells the convolutions, which look alike everywhere, how high they are."""

    def __init__(self, channels: int, rows: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.zeros(channels, rows, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.offset


def build_encoder(config: VQVAEConfig, n_mels: int) -> nn.Sequential:
    """[B, 1, M, T] -> [B, D, 8, T/16]; most work is done at low resolution, where a second costs little."""
    c = config.channels
    return nn.Sequential(
        nn.Conv2d(1, c // 2, 4, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(c // 2, c, 4, stride=2, padding=1),
        FrequencyEmbedding(c, n_mels // 4),
        ResidualBlock(c),
        nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),
        ResidualBlock(2 * c),
        nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1),
        FrequencyEmbedding(4 * c, BANDS),
        BandMixing(4 * c),
        ResidualBlock(4 * c),
        ResidualBlock(4 * c),
        ChannelNorm(4 * c),
        nn.Conv2d(4 * c, config.codebook_dim, 1),
    )


def build_decoder(config: VQVAEConfig, n_mels: int) -> nn.Sequential:
    """[B, D, 8, T/16] -> [B, 1, M, T], the encoder's mirror image."""
    c = config.channels
    return nn.Sequential(
        nn.Conv2d(config.codebook_dim, 4 * c, 3, padding=1),
        FrequencyEmbedding(4 * c, BANDS),
        BandMixing(4 * c),
        ResidualBlock(4 * c),
        ResidualBlock(4 * c),
        nn.ConvTranspose2d(4 * c, 2 * c, 4, stride=2, padding=1),
        ResidualBlock(2 * c),
        nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1),
        FrequencyEmbedding(c, n_mels // 4),
        ResidualBlock(c),
        nn.ConvTranspose2d(c, c // 2, 4, stride=2, padding=1),
        nn.GELU(),
        nn.ConvTranspose2d(c // 2, 1, 4, stride=2, padding=1),
    )


class ConvVQVAE(nn.Module):
    """The codec. Spectrograms go in and come out in dB; the network itself sees them with zero mean and unit scale."""

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, config: VQVAEConfig, spectrogram: SpectrogramConfig, commitment_weight: float = 0.25) -> None:
        super().__init__()
        if spectrogram.n_mels != BANDS * FRAMES_PER_COLUMN:
            raise ValueError(f"the codec is built for {BANDS * FRAMES_PER_COLUMN} mel bands, not {spectrogram.n_mels}")
        self.config = config
        self.spectrogram = spectrogram
        self.register_buffer("mel_mean", torch.full((spectrogram.n_mels, 1), -40.0))
        self.register_buffer("mel_scale", torch.tensor(25.0))
        self.encoder = build_encoder(config, spectrogram.n_mels)
        self.decoder = build_decoder(config, spectrogram.n_mels)
        self.quantizer = ResidualVQ(
            dim=config.codebook_dim,
            num_quantizers=config.rvq_levels,
            codebook_size=config.codebook_size,
            decay=CODEBOOK_DECAY,
            threshold_ema_dead_code=DEAD_CODE_THRESHOLD,
            commitment_weight=commitment_weight,
            kmeans_init=False,
        )

    def set_mel_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """Take the training set's mean per band [M] and one scale, in dB."""
        self.mel_mean.copy_(mean[:, None])
        self.mel_scale.copy_(scale)

    def encode(self, mel: Tensor) -> Tensor:
        """[B, 1, M, T] dB -> latents [B, S, D]; T must be a whole number of columns (see `pad_to_columns`)."""
        latents: Tensor = self.encoder((mel - self.mel_mean) / self.mel_scale)  # [B, D, 8, T/16]
        return latents.permute(0, 3, 2, 1).flatten(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, S, D] -> [B, 1, M, T] dB."""
        batch, positions, dim = latents.shape
        grid = latents.view(batch, positions // BANDS, BANDS, dim).permute(0, 3, 2, 1)  # [B, D, 8, T/16]
        scaled: Tensor = self.decoder(grid)
        return (scaled.float() * self.mel_scale + self.mel_mean).clamp_min(self.spectrogram.floor_db)

    def quantise(self, latents: Tensor, valid: Tensor) -> Quantised:
        """[B, S, D], [B, S] bool -> codes and quantised latents; what is not valid touches neither loss nor codebooks."""
        packed = latents[valid][None].float()  # [1, N, D]
        quantised, codes, losses = self.quantizer(packed)
        spread = torch.zeros_like(latents, dtype=quantised.dtype).masked_scatter(valid[..., None], quantised[0])
        all_codes = codes.new_full((*latents.shape[:2], codes.shape[-1]), -1)
        all_codes[valid] = codes[0]
        return Quantised(spread, all_codes, losses.mean())

    def forward(self, mel: Tensor, frames: Tensor) -> VQVAEOutput:
        """[B, 1, M, T] dB, [B] frames of sound in each -> reconstruction through the quantiser."""
        latents = self.encode(mel)
        valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
        quantised = self.quantise(latents, valid)
        return VQVAEOutput(self.decode(quantised.latents), quantised.codes, quantised.commitment_loss)

    def autoencode(self, mel: Tensor, frames: Tensor) -> Tensor:
        """The same without quantisation: [B, 1, M, T] -> [B, 1, M, T]."""
        latents = self.encode(mel)
        valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
        return self.decode(latents * valid[..., None])

    def latents_to_codes(self, latents: Tensor) -> Tensor:
        """Latents [B, S, D], all valid -> codes [B, S, Q]; touches no codebook. Call in eval mode."""
        codes: Tensor = self.quantizer(latents)[1]
        return codes

    def codes_to_mel(self, codes: Tensor) -> Tensor:
        """Codes [B, S, Q] (-1: nothing there) -> [B, 1, M, T] dB."""
        return self.decode(self.quantizer.get_output_from_indices(codes))

    def pad_to_columns(self, mel: Tensor) -> Tensor:
        """[..., T] -> [..., T'] with T' a whole number of columns, filled up with silence."""
        missing = columns(mel.shape[-1]) * FRAMES_PER_COLUMN - mel.shape[-1]
        return nn.functional.pad(mel, (0, missing), value=self.spectrogram.floor_db)

    @torch.no_grad()
    def start_codebooks(self, latents: Tensor, seed: int) -> None:
        """Set every level's codebook by k-means on what the levels before it leave of `latents` [N, D]."""
        from sklearn.cluster import KMeans

        residual = latents.float().cpu().numpy().astype(np.float64)
        for level in self.quantizer.layers:
            codebook = level._codebook
            count = min(self.config.codebook_size, len(np.unique(residual, axis=0)))
            fitted = KMeans(count, n_init=1, max_iter=40, random_state=seed).fit(residual)
            centers = np.zeros((self.config.codebook_size, residual.shape[1]))
            centers[:count] = fitted.cluster_centers_
            centers[count:] = fitted.cluster_centers_[np.arange(self.config.codebook_size - count) % count]
            embed = torch.from_numpy(centers).to(codebook.embed)
            codebook.embed.copy_(embed)
            codebook.cluster_size.fill_(1.0)
            codebook.embed_avg.copy_(embed)
            residual -= centers[fitted.labels_]
