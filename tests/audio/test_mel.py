"""The log-mel front-end: known answers, and blocks equal to the whole."""

import hashlib

import numpy as np
import numpy.typing as npt
import pytest
import torch

from distill.audio import mel as mel_module
from distill.audio.mel import log_mel, log_mel_of, mel_filters
from distill.settings.geometry import SpectrogramConfig

CONFIG = SpectrogramConfig()
NARROW = SpectrogramConfig(sample_rate=22_050, n_fft=1024, n_mels=80, f_min_hz=0.0, f_max_hz=8000.0)
WIDE = SpectrogramConfig(sample_rate=44_100, n_fft=4096, n_mels=256, f_min_hz=40.0, f_max_hz=16_000.0)
LIBROSAS = [
    (CONFIG, "bdf3c844437374af19558ae351b4a0aec9b5a0de1f89b1e7c1b792cf68feea43"),
    (NARROW, "f14d2226bfa12a82a41bfd605cbc7d77b4ab657a62df16c851eea72fff950803"),
    (WIDE, "837210ecfd613b4c0e601c7fa8a9ba2cb2d183d81dfee1e9c4578b553822cb7f"),
]
"""SHA-256 of the float32 numbers of librosa 0.11: `sha256(librosa.filters.mel(sr=48_000, n_fft=2048, n_mels=128,
fmin=20.0, fmax=24_000.0).tobytes()).hexdigest()`, and so on. librosa itself, which brings numba and llvmlite, is asked only
where it happens to be installed."""


def noise(samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def slaney_edges(config: SpectrogramConfig) -> npt.NDArray[np.float64]:
    """The ends and middles of the triangles in Hz, from a table of the scale: 15 mels of 66.7 Hz, then factors of 6.4^(1/27)."""
    mels = np.arange(0.0, 120.0, 0.001)
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    ends = np.interp([config.f_min_hz, config.f_max_hz], hertz, mels)
    return np.interp(np.linspace(*ends, config.n_mels + 2), mels, hertz)


@pytest.mark.parametrize(("config", "digest"), LIBROSAS)
def test_filters_are_librosas_bit_for_bit(config: SpectrogramConfig, digest: str) -> None:
    """Guards against filters that make models and caches of earlier versions another sound's."""
    filters = mel_filters(config).numpy()
    assert hashlib.sha256(filters.tobytes()).hexdigest() == digest
    edges = slaney_edges(config)
    bins = np.arange(config.n_fft // 2 + 1) * config.sample_rate / config.n_fft
    for row, (low, middle, high) in zip(filters, zip(edges, edges[1:], edges[2:], strict=False), strict=True):
        np.testing.assert_allclose(row, np.interp(bins, [low, middle, high], [0, 2 / (high - low), 0]), atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, NARROW, WIDE])
def test_filters_are_those_of_the_librosa_that_is_here(config: SpectrogramConfig) -> None:
    filters = pytest.importorskip("librosa.filters", reason="librosa is not installed, nor need it be")
    theirs = filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.f_min_hz, fmax=config.f_max_hz
    )
    np.testing.assert_array_equal(mel_filters(config).numpy(), theirs)


def test_it_is_the_filtered_spectrum_in_decibels() -> None:
    """The slow oracle: one frame after the other in double precision."""
    samples = noise(30_000)
    padded = np.pad(samples.numpy().astype(np.float64), (1024, 2048))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2048) / 2048)
    frames = [np.abs(np.fft.rfft(window * padded[512 * t :][:2048])) for t in range(CONFIG.frames(30_000))]
    expected = 20 * np.log10(np.maximum(mel_filters(CONFIG).numpy() @ np.stack(frames, 1), 1e-5))
    np.testing.assert_allclose(log_mel(samples, CONFIG).numpy(), expected, atol=0.02)


def test_a_tone_stands_in_its_band() -> None:
    centres = slaney_edges(CONFIG)[1:-1]
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
        blocks = log_mel_of(samples.numpy(), CONFIG)
    finally:
        mel_module.BLOCK_FRAMES = before
    torch.testing.assert_close(blocks, log_mel(samples, CONFIG))


def test_batches_are_their_rows() -> None:
    batch = torch.stack([noise(6000), noise(6000) * 0.5])
    assert torch.equal(log_mel(batch, CONFIG)[1], log_mel(batch[1], CONFIG))
