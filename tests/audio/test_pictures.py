"""Pictures: what they show is there."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import soundfile
import torch
from matplotlib.image import imread

from distill.audio.pictures import MISSING_GLYPH, Panel, drawable, spectrogram_sheet, stacked_mels, usage_heatmap
from distill.audio.thumbnails import SPECTROGRAM_ROWS, WAVE_ROWS, WIDTH, sound_picture
from distill.settings.geometry import SpectrogramConfig
from distill.training.codec.health import judge_health
from tiny import RATE, hit, write_sounds


def test_a_heatmap_shows_which_codes_are_used(tmp_path: Path) -> None:
    """Guards against a picture that is the same whatever the codebook does."""
    used, unused = torch.ones(2, 100, dtype=torch.long), torch.ones(2, 100, dtype=torch.long)
    unused[:, 50:] = 0
    pictures = []
    for name, counts in (("used", used), ("unused", unused)):
        usage_heatmap(judge_health(counts), tmp_path / f"{name}.png")
        pictures.append(imread(tmp_path / f"{name}.png"))
    assert pictures[0].shape == pictures[1].shape
    assert float(np.abs(pictures[0] - pictures[1]).max(axis=2).astype(bool).mean()) > 0.1


def test_a_name_that_the_font_cannot_draw_is_drawn_as_boxes(tmp_path: Path) -> None:
    """Guards against "Glyph missing" among the answers of a program, and against names read as formulas."""
    sound = write_sounds(tmp_path / "in", 1) / "hit 0.wav"
    assert drawable("hät $x_1$ 日本\t\udcff") == f"hät $x_1$ {4 * MISSING_GLYPH}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spectrogram_sheet([[Panel("日本 \udcff $x_{", sound)]], tmp_path / "sheet.png")
    assert imread(tmp_path / "sheet.png").ndim == 3


def test_both_channels_are_drawn_the_left_above_the_right(tmp_path: Path) -> None:
    """Guards against a picture of the mix alone, and against channels that change places."""
    config = SpectrogramConfig()
    mels = stacked_mels(np.stack([hit(1), np.zeros_like(hit(1))]), config)
    assert mels.shape[0] == 2 * config.n_mels
    assert (
        mels[: config.n_mels].max() == config.floor_db < mels[config.n_mels :].max()
    )  # drawn from below: the right first
    pictures = []
    for name, sound in (("mono", hit(1)), ("stereo", np.stack([hit(1), 0.1 * hit(2)], 1))):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
        spectrogram_sheet([[Panel("a", tmp_path / f"{name}.wav")]], tmp_path / f"{name}.png")
        pictures.append(imread(tmp_path / f"{name}.png")[..., :3])
    assert pictures[0].shape == pictures[1].shape

    def middle_line(picture: np.ndarray) -> float:
        return float((picture.min(axis=2)[40:-40] > 0.98).mean(axis=1).max())

    assert middle_line(pictures[0]) < 0.5 < middle_line(pictures[1])


def test_a_thumbnail_shows_both_channels(tmp_path: Path) -> None:
    """Guards against a waveform and a spectrogram of the mix where one side is silent."""
    for name, sound in (("mono", hit(1)), ("stereo", np.stack([hit(1), np.zeros_like(hit(1))], 1))):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
        (tmp_path / f"{name}.png").write_bytes(sound_picture(tmp_path / f"{name}.wav"))
    mono, stereo = (imread(tmp_path / f"{name}.png") for name in ("mono", "stereo"))
    assert mono.shape == stereo.shape == (WAVE_ROWS + SPECTROGRAM_ROWS, WIDTH, 3)
    waves, bands = stereo[:WAVE_ROWS, 40:, :], stereo[WAVE_ROWS:, 40:, :]
    left, right = (part.reshape(2, -1, *part.shape[1:]) for part in (waves, bands))
    assert (left[0].max(axis=2) > 0.5).mean() > 0.12 > 0.06 > (left[1][2:].max(axis=2) > 0.5).mean()
    assert right[0].mean() > 5 * right[1][2:].mean()


def test_a_home_that_cannot_be_written_is_no_news(tmp_path: Path) -> None:
    """Guards against matplotlib's words on folders of its own, in a container without a home."""
    (tmp_path / "file").write_text("")
    program = (
        "from pathlib import Path; from distill.audio.pictures import usage_heatmap\n"
        "from distill.events import CodebookHealth, LevelHealth\n"
        "health = CodebookHealth((LevelHealth(1, 1.0, 2.0, 0, (3, 4)),), 'healthy', '')\n"
        f"usage_heatmap(health, Path({str(tmp_path / 'usage.png')!r}))\n"
    )
    env = {**os.environ, "MPLCONFIGDIR": str(tmp_path / "file" / "matplotlib")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "usage.png").is_file()
