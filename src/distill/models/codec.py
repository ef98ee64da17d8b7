"""Stage 1: the codec, a convolutional autoencoder over log-mel spectrograms with a residual-quantised bottleneck.

    log-mel [B, 1, 128, T] ─ encoder, four halvings ─▶ [B, 8, T/16, D] ─ time-major ─▶ latents [B, S, D]
    latents ─ quantiser ─▶ codes [B, S, Q] ─ codebooks ─▶ latents ─ decoder ─▶ log-mel [B, 1, 128, T]

S = 8 * T/16 positions; position = column * 8 + band, so a prefix of positions is the past. Every layer reaches a
few columns at most and no norm looks along time, so a file of any length is encoded whole, without seams.

The codec sees a file in dB under its own loudest mel cell (its level), floored at `FLOOR_DB`: one gain per file, so
loud and soft within it survive. The level travels beside the codes.

Inside, tensors are channels-last; `distill.models.blocks`, of which encoder and decoder are built, says why.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distill.models.blocks import (
    BandMixing,
    ChannelNorm,
    Convolution,
    Double,
    Halve,
    LocalBlock,
    RowEmbedding,
    join_patches,
    split_patches,
)
from distill.models.quantizer import ResidualCodes, ResidualQuantizer
from distill.settings.codec import VQVAEConfig
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, MELS_PER_BAND, SpectrogramConfig, columns

FLOOR_DB = -110.0
"""What lies further under a file's loudest cell is silence to the codec."""
CENTRE_DB, SCALE_DB = -50.0, 25.0


class VQVAEOutput(NamedTuple):
    """What the codec makes of a batch."""

    mel: Tensor  # [B, 1, M, T] dB under the file's level
    codes: Tensor  # [B, S, Q], -1 where not valid
    commitment_loss: Tensor  # scalar


class Quantised(NamedTuple):
    """What the residual quantiser makes of latents."""

    latents: Tensor  # [B, S, D], zero where not valid
    codes: Tensor  # [B, S, Q], -1 where not valid
    commitment_loss: Tensor  # scalar, mean over valid positions, summed over levels


def valid_positions(frames: Tensor, total_columns: int) -> Tensor:
    """[B] frames of sound -> [B, S] bool: the positions whose column holds any of it."""
    used = torch.div(frames + FRAMES_PER_COLUMN - 1, FRAMES_PER_COLUMN, rounding_mode="floor")
    column = torch.arange(total_columns * BANDS, device=frames.device) // BANDS
    return column[None] < used[:, None]


def valid_frames(frames: Tensor, total_frames: int) -> Tensor:
    """[B] frames of sound -> [B, 1, 1, T] bool: the frames that hold it."""
    return (torch.arange(total_frames, device=frames.device)[None] < frames[:, None])[:, None, None]


def build_encoder(config: VQVAEConfig, n_mels: int) -> nn.Sequential:
    """[B, M/4, T/4, 16] -> [B, 8, T/16, D]; most work is done at low resolution, where a second costs little."""
    fine, middle, coarse = config.channels // 6, config.channels // 2, config.channels
    return nn.Sequential(
        Convolution(16, fine, 3),
        RowEmbedding(n_mels // 4, fine),
        LocalBlock(fine),
        Halve(fine, middle),
        LocalBlock(middle),
        Halve(middle, coarse),
        LocalBlock(coarse),
        BandMixing(BANDS, coarse),
        LocalBlock(coarse),
        ChannelNorm(coarse),
    )


def build_decoder(config: VQVAEConfig) -> nn.Sequential:
    """[B, 8, T/16, D] -> [B, M/4, T/4, 16], the encoder's mirror image."""
    fine, middle, coarse = config.channels // 6, config.channels // 2, config.channels
    return nn.Sequential(
        RowEmbedding(BANDS, coarse),
        LocalBlock(coarse),
        BandMixing(BANDS, coarse),
        LocalBlock(coarse),
        Double(coarse, middle),
        LocalBlock(middle),
        Double(middle, fine),
        LocalBlock(fine),
        ChannelNorm(fine),
        Convolution(fine, 16, 3),
    )


class ConvVQVAE(nn.Module):
    """The codec. Spectrograms go in and come out in dB under the file's level."""

    typical_level_db: Tensor

    def __init__(self, config: VQVAEConfig, spectrogram: SpectrogramConfig) -> None:
        super().__init__()
        if spectrogram.n_mels != BANDS * MELS_PER_BAND:
            raise ValueError(f"the codec is built for {BANDS * MELS_PER_BAND} mel bands, not {spectrogram.n_mels}")
        self.config = config
        self.spectrogram = spectrogram
        self.register_buffer("typical_level_db", torch.tensor(0.0))
        self.encoder = build_encoder(config, spectrogram.n_mels)
        self.to_latent = nn.Linear(config.channels, config.codebook_dim)
        self.from_latent = Convolution(config.codebook_dim, config.channels, 3)
        self.decoder = build_decoder(config)
        self.quantizer = ResidualQuantizer(config.rvq_levels, config.codebook_size, config.codebook_dim)

    def encode(self, mel: Tensor) -> Tensor:
        """[B, 1, M, T] dB -> latents [B, S, D]; T must be a whole number of columns (see `pad_to_columns`)."""
        scaled = (mel.clamp_min(FLOOR_DB) - CENTRE_DB) / SCALE_DB
        grid: Tensor = self.to_latent(self.encoder(split_patches(scaled.permute(0, 2, 3, 1), 4)))  # [B, 8, W, D]
        return grid.transpose(1, 2).flatten(1, 2).float()

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, S, D] -> [B, 1, M, T] dB."""
        batch, positions, dim = latents.shape
        grid = latents.reshape(batch, positions // BANDS, BANDS, dim).transpose(1, 2)  # [B, 8, W, D]
        patches: Tensor = self.decoder(self.from_latent(grid))
        return join_patches(patches, 4).permute(0, 3, 1, 2).float() * SCALE_DB + CENTRE_DB

    def quantise(self, latents: Tensor, valid: Tensor, kept_levels: Tensor | None = None) -> Quantised:
        """[B, S, D], [B, S] bool -> codes and quantised latents; what is not valid touches neither loss nor codebooks.

        Args:
            kept_levels: [B], how many levels of each the latents are made of (quantizer dropout); None: all. The codes
                and the codebooks' averages are of all levels in any case.
        """
        packed = latents[valid]  # [N, D]
        with torch.autocast(latents.device.type, enabled=False):
            quantised, codes, commitment_loss = self.quantizer(packed)
            if kept_levels is not None:
                kept = kept_levels[:, None].expand_as(valid)[valid]  # [N]
                dropped = torch.arange(codes.shape[-1], device=codes.device) >= kept[:, None]
                fewer = self.quantizer.decode(codes.masked_fill(dropped, -1))
                quantised = packed + (fewer - packed).detach()
        spread = torch.zeros_like(latents).masked_scatter(valid[..., None], quantised)
        all_codes = codes.new_full((*latents.shape[:2], codes.shape[-1]), -1)
        all_codes[valid] = codes
        return Quantised(spread, all_codes, commitment_loss)

    def forward(self, mel: Tensor, frames: Tensor, kept_levels: Tensor | None = None) -> VQVAEOutput:
        """[B, 1, M, T] dB, [B] frames of sound in each -> reconstruction through the quantiser."""
        latents = self.encode(mel)
        valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
        quantised = self.quantise(latents, valid, kept_levels)
        return VQVAEOutput(self.decode(quantised.latents), quantised.codes, quantised.commitment_loss)

    def autoencode(self, mel: Tensor, frames: Tensor) -> Tensor:
        """The same without quantisation: [B, 1, M, T] -> [B, 1, M, T]."""
        latents = self.encode(mel)
        valid = valid_positions(frames, mel.shape[-1] // FRAMES_PER_COLUMN)
        return self.decode(latents * valid[..., None])

    def latents_to_codes(self, latents: Tensor) -> Tensor:
        """Latents [B, S, D], all valid -> codes [B, S, Q]; touches no codebook. Call in eval mode."""
        found: ResidualCodes = self.quantizer(latents)
        return found.codes

    def codes_to_mel(self, codes: Tensor) -> Tensor:
        """Codes [B, S, Q] (-1: nothing there) -> [B, 1, M, T] dB."""
        return self.decode(self.quantizer.decode(codes))

    def codebooks(self) -> Tensor:
        """The vectors behind the codes, [Q, K, D]."""
        return self.quantizer.codebooks()

    def set_codebook_decay(self, decay: float) -> None:
        """Decay per step of the moving averages behind the codebooks, in a training that follows."""
        self.quantizer.decay = decay

    @staticmethod
    def pad_to_columns(mel: Tensor) -> Tensor:
        """[..., T] -> [..., T'] with T' a whole number of columns, filled up with silence."""
        missing = columns(mel.shape[-1]) * FRAMES_PER_COLUMN - mel.shape[-1]
        return F.pad(mel, (0, missing), value=FLOOR_DB)

    def start_codebooks(self, latents: Tensor, positions_per_step: float, seed: int) -> None:
        """Set the codebooks to what k-means finds in latents [N, D]; a training step brings `positions_per_step` of them."""
        self.quantizer.start(latents, positions_per_step, seed)
