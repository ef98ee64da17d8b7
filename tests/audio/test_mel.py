"""The log-mel front-end: known answers, and blocks equal to the whole."""

import librosa
import numpy as np
import torch

from distill.audio import mel as mel_module
from distill.audio.mel import log_mel, log_mel_blocks
from distill.settings.geometry import SpectrogramConfig

CONFIG = SpectrogramConfig()


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def test_it_is_librosas_mel_in_decibels() -> None:
    """The slow oracle: librosa's STFT and filters."""
    samples = noise(30_000)
    spectrum = np.abs(librosa.stft(samples.numpy().astype(np.float64), n_fft=2048, hop_length=512, pad_mode="constant"))
    filters = librosa.filters.mel(sr=48_000, n_fft=2048, n_mels=128, fmin=20.0, fmax=24_000.0)
    expected = 20 * np.log10(np.maximum(filters @ spectrum, 1e-5))[:, : CONFIG.frames(30_000)]
    np.testing.assert_allclose(log_mel(samples, CONFIG).numpy(), expected, atol=0.02)


def test_a_tone_stands_in_its_band() -> None:
    centres = librosa.mel_frequencies(130, fmin=20.0, fmax=24_000.0)[1:-1]
    for hertz in (200.0, 1000.0, 9000.0):
        tone = torch.sin(2 * torch.pi * hertz * torch.arange(48_000) / 48_000)
        loudest = int(log_mel(tone, CONFIG)[:, 40].argmax())
        assert abs(centres[loudest] - hertz) < 0.1 * hertz


def test_silence_is_the_floor() -> None:
    assert (log_mel(torch.zeros(5000), CONFIG) == CONFIG.floor_db).all()


def test_frames_are_counted_by_started_hops() -> None:
    for samples in (1, 512, 513, 49_152):
        assert log_mel(noise(samples), CONFIG).shape == (128, CONFIG.frames(samples))
    assert CONFIG.frames(49_152) == CONFIG.crop_frames


def test_blocks_are_the_whole(monkeypatch: object) -> None:
    """Guards against seams between the blocks in which long files are read."""
    mel_module.BLOCK_FRAMES, before = 7, mel_module.BLOCK_FRAMES
    try:
        samples = noise(20_123)
        blocks = torch.cat(list(log_mel_blocks(samples.numpy(), CONFIG)), dim=1)
    finally:
        mel_module.BLOCK_FRAMES = before
    torch.testing.assert_close(blocks, log_mel(samples, CONFIG))


def test_batches_are_their_rows() -> None:
    batch = torch.stack([noise(6000), noise(6000) * 0.5])
    assert torch.equal(log_mel(batch, CONFIG)[1], log_mel(batch[1], CONFIG))
