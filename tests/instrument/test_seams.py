"""What is at the seam of a loop, and at the joins of a part that was replaced: no edge, and no more change than elsewhere."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.instrument import gaps, looping
from distill.instrument.asked import Asked
from distill.instrument.decoding import image_at
from distill.instrument.gaps import FITTED_FRAMES, MOST_FITTED_DB, fitted
from distill.instrument.looping import loop_of
from distill.instrument.recordings import Recording
from distill.instrument.seams import smooth_turn
from distill.modelfile.opened import load_model
from distill.models.image import CELL_FRAMES, ImageCodebook, as_heard
from distill.models.sampling import clip_generator
from distill.settings.generation import GenerationSettings, generation_settings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN
from tiny import RATE


def test_no_patch_of_grain_ends_at_the_seam(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against grain that has an edge at each column, and so one where the end of a loop meets its beginning."""
    loaded = load_model(tiny_model)

    def in_patches(_loaded: Any, mel: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.zeros_like(mel) + torch.arange(mel.shape[1]).div(FRAMES_PER_COLUMN, rounding_mode="floor")

    monkeypatch.setattr(looping, "grained", in_patches)
    codes = torch.zeros(6 * BANDS, loaded.card.vqvae_config.rvq_levels, dtype=torch.long)
    mel = loop_of(loaded, codes, clip_generator(1), generation_settings(loop=True, seconds=6 * 8192 / RATE)).mel
    changes = (mel - mel.roll(1, 1))[0].abs()
    assert int((changes > 0.5).sum()) == 6
    assert float(changes[[0, 1, -1]].max()) == 0.0


def test_the_image_of_a_loop_glides_over_its_seam(tiny_model: Path) -> None:
    """Guards against an image that jumps from cell to cell, one of whose edges is at the seam."""
    loaded = load_model(tiny_model)
    levels = loaded.card.vqvae_config.rvq_levels
    image = ImageCodebook(16)
    image.vectors.copy_(torch.randn(image.vectors.shape, generator=clip_generator(1)))
    stereo = replace(loaded, image=image)
    codes = torch.randint(0, 16, (3 * BANDS, levels + 1), generator=clip_generator(2))
    frames = 3 * FRAMES_PER_COLUMN
    made = image_at(stereo, codes, torch.arange(-8, frames + 8) + 0.5, goes_round=True)
    assert made is not None
    wanted = image.decode(codes[:, levels]).shares
    middles = made.shares[..., 8 + CELL_FRAMES // 2 - 1 : -8 : CELL_FRAMES] / 2
    middles = middles + made.shares[..., 8 + CELL_FRAMES // 2 : -8 : CELL_FRAMES] / 2
    largest = float((wanted - wanted.roll(1, -1)).abs().max())
    assert float((middles - wanted).abs().max()) < largest / CELL_FRAMES
    assert float(made.shares.diff(dim=-1).abs().max()) <= 1.01 * largest / CELL_FRAMES
    torch.testing.assert_close(made.shares[..., :8], made.shares[..., frames : frames + 8])
    assert image_at(loaded, codes[:, :levels], torch.arange(4)) is None


def test_the_image_of_a_part_is_that_of_a_new_sound(tiny_model: Path) -> None:
    """Guards against an image of variations and filled gaps that jumps from cell to cell, or lies half a frame off."""
    loaded = load_model(tiny_model)
    levels = loaded.card.vqvae_config.rvq_levels
    image = ImageCodebook(16)
    image.vectors.copy_(torch.randn(image.vectors.shape, generator=clip_generator(1)))
    codes = torch.randint(0, 16, (3 * BANDS, levels + 1), generator=clip_generator(2))
    made = image_at(replace(loaded, image=image), codes, torch.arange(3 * FRAMES_PER_COLUMN) + 0.5)
    assert made is not None
    wave = 0.1 * torch.randn(3 * FRAMES_PER_COLUMN * 512, generator=clip_generator(3))
    torch.testing.assert_close(as_heard(wave, made), as_heard(wave, image.decode(codes[:, levels])))


def test_a_loop_begins_a_moment_earlier_where_less_changes_there() -> None:
    """Guards against a place that is looked for after the first beat, which would cut it off, against one side of a stereo
    loop that is not looked at, and against loops that are turned for nothing."""
    steady = 0.03 * torch.randn(2, RATE, generator=clip_generator(1))
    steady *= 1.0 + 0.5 * torch.cos(torch.arange(RATE) * (24.0 * torch.pi / RATE))  # changes least where it begins
    assert smooth_turn(steady) == 0
    for side in (0, 1):
        stroke = torch.ones(2, RATE)
        stroke[side, -200:] = 10.0
        assert 48 <= smooth_turn(steady * stroke) <= 144  # some of it on either side
        assert smooth_turn((steady * stroke).roll(RATE // 2, 1)) == 0


def test_what_is_drawn_begins_and_ends_as_loud_as_the_recording() -> None:
    """Guards against bands that jump at the joins, against the middle of a gap that is turned up or down with them, and
    against strokes that are flattened."""
    before, after = torch.full((4, 9), -30.0), torch.full((4, 9), -41.0)
    drawn = torch.full((4, 40), -36.0)
    made = fitted(before, drawn, after)
    assert made[0, [0, -1]].tolist() == [-30.0, -41.0]
    assert torch.equal(made[:, FITTED_FRAMES:-FITTED_FRAMES], drawn[:, FITTED_FRAMES:-FITTED_FRAMES])
    assert float(made.diff(dim=1).abs().max()) < 1.0
    assert float(fitted(before, drawn + 36.0, after)[0, 0]) == -MOST_FITTED_DB
    assert torch.equal(fitted(before[:, :0], drawn, after[:, :0]), drawn)
    short = fitted(before, drawn[:, :1], after)
    assert short.shape == (4, 1)
    assert float(short.max()) <= -30.0


def test_nothing_is_heard_of_a_kink_where_a_gap_begins(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards against a mel of the recording whose last frames hear it reflected: a tone would end in a click, in all bands."""
    loaded = load_model(tiny_model)
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE + 0.4)).astype(np.float32)
    monkeypatch.setattr(gaps, "grained", lambda _, mel, *__: mel)
    asked = Asked("replace", (Recording(tone[None], "tone.wav"),), (20_011, 30_011))
    gap = gaps.gap_of(loaded, asked, GenerationSettings(seed=1))
    settings = GenerationSettings(seed=1)
    mel, left = gaps._around(loaded, gap, gap.canvas.codes, gap.columns, 20, 10_000, clip_generator(1), settings)
    assert float((mel[:, left - 3 : left] - mel[:, left - 6 : left - 3]).abs().max()) < 8.0
