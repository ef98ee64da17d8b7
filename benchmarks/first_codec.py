"""The first version of the codec's training loop, to compare throughput with: ordinary channels-first convolutions in
float32, of the first version's widths (the present ones lose nothing, see docs/decisions/0015-codec-network.md), learned
by AdamW, and every crop read from its file, resampled and analysed anew."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW

from distill.audio.mel import log_mel
from distill.audio.reading import read_audio
from distill.corpus.sounds import Corpus
from distill.models.blocks import MIXED_CHANNELS
from distill.models.codec import CENTRE_DB, FLOOR_DB, SCALE_DB
from distill.models.encoding import level_of
from distill.models.quantizer import ResidualQuantizer
from distill.settings.codec import CodecSettings
from distill.settings.geometry import BANDS
from distill.training.codec.crops import CropBatch
from distill.training.codec.task import reconstruction_loss

WIDTHS = (64, 128, 256)


class FirstBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.GroupNorm(1, channels)
        self.expand = nn.Conv2d(channels, 3 * channels, 1)
        self.reduce = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # [B, C, H, W] -> the same
        return x + self.reduce(F.gelu(self.expand(self.norm(self.depthwise(x)))))


class FirstMixing(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, MIXED_CHANNELS, 1)
        self.mix = nn.Conv1d(BANDS * MIXED_CHANNELS, BANDS * MIXED_CHANNELS, 3, padding=1)
        self.widen = nn.Conv2d(MIXED_CHANNELS, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # [B, C, 8, W] -> the same
        columns = self.squeeze(x).flatten(1, 2)  # [B, 32 * 8, W]
        return x + self.widen(F.gelu(self.mix(columns)).unflatten(1, (MIXED_CHANNELS, BANDS)))


class FirstCodec(nn.Module):
    """[B, 1, M, T] dB -> [B, 1, M, T] dB and the commitment loss."""

    def __init__(self, settings: CodecSettings) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=4), nn.Conv2d(16, fine, 3, padding=1), FirstBlock(fine),
            nn.Conv2d(fine, middle, 2, stride=2), FirstBlock(middle),
            nn.Conv2d(middle, coarse, 2, stride=2), FirstBlock(coarse), FirstMixing(coarse), FirstBlock(coarse),
            nn.Conv2d(coarse, settings.codebook_dim, 1),
        )  # fmt: skip
        self.quantizer = ResidualQuantizer(settings.rvq_levels, settings.codebook_size, settings.codebook_dim)
        self.decoder = nn.Sequential(
            nn.Conv2d(settings.codebook_dim, coarse, 3, padding=1), FirstBlock(coarse), FirstMixing(coarse),
            FirstBlock(coarse), nn.ConvTranspose2d(coarse, middle, 2, stride=2), FirstBlock(middle),
            nn.ConvTranspose2d(middle, fine, 2, stride=2), FirstBlock(fine), nn.Conv2d(fine, 16, 3, padding=1),
            nn.ConvTranspose2d(16, 1, 4, stride=4),
        )  # fmt: skip

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        grid = self.encoder((mel - CENTRE_DB) / SCALE_DB)  # [B, D, 8, W]
        latents = grid.permute(0, 3, 2, 1)
        quantised, _, commitment_loss = self.quantizer(latents.flatten(1, 2))
        again = quantised.reshape(latents.shape).permute(0, 3, 2, 1)
        return self.decoder(again) * SCALE_DB + CENTRE_DB, commitment_loss


class FirstLoop:
    """One step at a time: read, resample, analyse, forward, backward, AdamW."""

    def __init__(self, corpus: Corpus, settings: CodecSettings) -> None:
        self.corpus, self.settings = corpus, settings
        self.model = FirstCodec(settings).train()
        self.optimizer = AdamW(self.model.parameters(), 1e-3)

    def draw(self, rng: np.random.Generator) -> CropBatch:
        config = self.corpus.spectrogram
        mels, frames = [], []
        for number in rng.integers(len(self.corpus.manifest.train), size=self.settings.batch_size):
            samples, _ = read_audio(Path(self.corpus.manifest.folder) / self.corpus.manifest.train[number].name)
            mel = log_mel(torch.from_numpy(samples), config)
            mel = mel - level_of(mel.T.numpy())
            first = int(rng.integers(max(1, mel.shape[1] - config.crop_frames + 1)))
            crop = mel[:, first : first + config.crop_frames].clamp_min(FLOOR_DB)
            frames.append(crop.shape[1])
            mels.append(F.pad(crop, (0, config.crop_frames - crop.shape[1]), value=FLOOR_DB))
        return CropBatch(torch.stack(mels)[:, None], torch.tensor(frames))

    def step(self, batch: CropBatch) -> None:
        made, commitment = self.model(batch.mel)
        loss = reconstruction_loss(made, batch.mel, batch.frames) / SCALE_DB
        (loss + self.settings.commitment_weight * commitment).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
