"""Back to a waveform: the right spectrum, the right length, no clicks, silence stays silent."""

import pytest
import torch

from distill.audio import griffin_lim
from distill.audio.griffin_lim import GriffinLim
from distill.audio.master import PEAK, finish
from distill.audio.mel import log_mel
from distill.models.sampling import clip_generator
from distill.settings.geometry import SpectrogramConfig

CONFIG = SpectrogramConfig()


def tone(seconds: float, hertz: float = 440.0) -> torch.Tensor:
    time = torch.arange(round(seconds * 48_000)) / 48_000
    return 0.3 * torch.sin(2 * torch.pi * hertz * time) * torch.exp(-2 * time)


def test_the_spectrogram_survives_the_round_trip() -> None:
    """Guards against wrong scale or wrong filters: above -60 dB the mel must come back within 3 dB."""
    mel = log_mel(tone(0.5), CONFIG)
    made = GriffinLim(CONFIG)(mel, clip_generator(0))
    assert made.shape == (mel.shape[1] * CONFIG.hop_length,)
    again = log_mel(made, CONFIG)[:, : mel.shape[1]]
    audible = mel > mel.max() - 60
    assert float((again - mel)[audible].abs().mean()) < 3.0


def test_randomness_is_an_argument() -> None:
    mel = log_mel(tone(0.2), CONFIG)
    make = GriffinLim(CONFIG, iterations=2)
    assert torch.equal(make(mel, clip_generator(3)), make(mel, clip_generator(3)))
    assert not torch.equal(make(mel, clip_generator(3)), make(mel, clip_generator(4)))


def test_silence_stays_silent() -> None:
    made = finish(GriffinLim(CONFIG)(torch.full((128, 20), CONFIG.floor_db), clip_generator(0)), 48_000)
    assert float(made.abs().max()) < 1e-5


def test_long_sounds_have_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against clicks or holes where blocks meet: the level of a steady tone must stay within 3 dB."""
    monkeypatch.setattr(griffin_lim, "BLOCK_FRAMES", 60)
    steady = 0.3 * torch.sin(2 * torch.pi * 440.0 * torch.arange(96_000) / 48_000)
    mel = log_mel(steady, CONFIG)
    made = GriffinLim(CONFIG)(mel, clip_generator(0))
    level = 20 * made[4096:-4096].unfold(0, 2048, 512).square().mean(-1).sqrt().log10()
    assert float(level.max() - level.min()) < 3.0
    assert float(made.diff().abs().max()) < 0.1


@pytest.mark.parametrize("length", [0, 1, 3, 5000])
def test_finished_sounds_are_safe(length: int) -> None:
    """Guards against clipping, clicks at the ends and crashes on almost nothing."""
    loud = torch.full((length,), 4.0)
    made = finish(loud, 48_000)
    assert len(made) == length
    if length:
        assert float(made.abs().max()) <= PEAK + 1e-6
        assert float(made[-1]) == 0.0
        assert float(loud[0]) == 4.0


def test_quiet_sounds_are_not_turned_up() -> None:
    quiet = torch.full((5000,), 0.01)
    assert float(finish(quiet, 48_000).max()) == pytest.approx(0.01)
