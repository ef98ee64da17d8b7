"""Measures of `benchmarks/sampling.py`, `instrument.py` and `beats.py`, and the masked prior of `masked.py`, on what is known."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.models.prior import BOS, IGNORED, MID, Given
from distill.settings.geometry import BANDS
from distill.settings.prior import PriorConfig
from distill.training.prior.windows import Window


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Benchmarks as modules, by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    return importlib.import_module


def test_energy_is_nothing_between_sets_of_one_kind_and_grows_with_what_is_between_them(benchmark: Any) -> None:
    """Guards against a distance that counts each point as its own neighbour: then small sets would be nearer than large ones."""
    energy = benchmark("sampling").energy
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 60, 40))
    few = rng.standard_normal((300, 8, 40))
    assert abs(energy(one, other)) < 0.02
    assert abs(np.mean([energy(one, each) for each in few])) < 0.02
    assert 0.05 < energy(one, other + 0.5) < energy(one, other + 1.0)


def test_diversity_sees_sounds_that_are_all_alike(benchmark: Any) -> None:
    """Guards against a diversity that a handful of sounds, made again and again, would pass."""
    nearest_other = benchmark("sampling").nearest_other
    points = np.random.default_rng(0).standard_normal((40, 30))
    repeated = np.repeat(points[:10], 4, axis=0) + 1e-3 * np.random.default_rng(1).standard_normal((40, 30))
    assert nearest_other(repeated, 40) < 0.01 * nearest_other(points, 40)


def test_a_short_sound_is_compared_with_its_silence(benchmark: Any) -> None:
    """Guards against lengths that are not seen: a sound that is cut is another sound."""
    features = benchmark("sampling").features
    long = torch.full((200, 128), -10.0)
    assert np.abs(features(long) - features(long[:90])).max() > 0.5
    assert np.array_equal(features(long), features(long[:94]))


def test_what_is_inaudible_is_not_compared(benchmark: Any) -> None:
    """Guards against sounds that come with what is 90 dB down, compared with recordings that do not."""
    features = benchmark("sampling").features
    mel = -90.0 * torch.rand(120, 128, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(features(mel), features(mel.clamp_min(-50.0)))


@pytest.fixture
def windows() -> list[Window]:
    codes = torch.randint(16, (40, 2), generator=torch.Generator().manual_seed(0))
    return [Window(codes, 0, 5, BOS), Window(codes[:24], 0, 3, BOS)]


def test_a_masked_prior_sees_both_sides_and_not_what_it_is_to_say(benchmark: Any, windows: list[Window]) -> None:
    """Guards against a true code that leaks into its own prediction, and against a mask that is still causal."""
    masked = benchmark("masked")
    torch.manual_seed(0)
    config = PriorConfig(hidden_size=16, num_layers=1, num_heads=2, codebook_size=16, codebook_dim=4, rvq_levels=2,
                         both_sides=True)  # fmt: skip
    prior = masked.MaskedPrior(config, torch.randn(2, 16, 4)).eval()
    batch = masked.masked_batch(windows, config, np.random.default_rng(2))
    assert (batch.targets[1, 24:] == IGNORED).all()
    codes, hidden = batch.codes, torch.zeros_like(batch.hidden)
    hidden[:, 8:16] = True
    given = Given(end=torch.tensor([5, 3]))
    before = prior(codes, batch.start, hidden, given)[:, 8:16, 0]
    other = torch.where(hidden, (codes + 1) % 16, codes)
    assert torch.equal(before, prior(other, batch.start, hidden, given)[:, 8:16, 0])
    other = codes.clone()
    other[:, 23] = (codes[:, 23] + 1) % 16
    assert not torch.equal(before, prior(other, batch.start, hidden, given)[:, 8:16, 0])
    other = codes.clone()
    other[1, 24:] = 7  # behind the end of the shorter one
    assert torch.equal(before, prior(other, batch.start, hidden, given)[:, 8:16, 0])


def test_every_order_of_revealing_counts_each_cell_once(benchmark: Any, windows: list[Window]) -> None:
    """Guards against a cell that is revealed and not paid for: a prior that knows nothing must pay the same in any order."""
    masked = benchmark("masked")
    config = PriorConfig(hidden_size=16, num_layers=1, num_heads=2, codebook_size=16, codebook_dim=4, rvq_levels=2,
                         both_sides=True)  # fmt: skip
    prior = masked.MaskedPrior(config, torch.zeros(2, 16, 4)).eval()
    for parameter in prior.parameters():
        parameter.data.zero_()
    hole = torch.zeros(40, dtype=torch.bool)
    hole[8:32] = True
    for order in (masked.from_the_left, masked.surest, None):
        bits = masked.revealed_bits(prior, windows[0], hole, hole, order)
        assert torch.allclose(bits, torch.tensor([96.0, 96.0]), atol=1e-3)


def test_replaced_parts_lie_all_over_the_recordings(benchmark: Any) -> None:
    """Guards against parts that are all of one recording, of silence, or without anything around them."""
    middles = benchmark("instrument").middles
    rate, rng = 48_000, np.random.default_rng(0)
    long, short = (rng.standard_normal(int(seconds * rate)).astype(np.float32) for seconds in (12.0, 0.6))
    long[4 * rate : 8 * rate] = 0.0
    found = middles([long, short], 30)
    assert 15 <= len(found) <= 30
    assert sum(len(sound) == len(short) for sound, _, _ in found) == 1
    for sound, begin, end in found:
        assert 0.05 * rate < begin < end < len(sound) - 0.05 * rate
        assert np.abs(sound[begin:end]).max() > 1.0
        assert end - begin in (rate // 3, round(0.3 * len(short)))


def test_windows_on_beats_begin_where_most_onsets_are(benchmark: Any) -> None:
    """Guards against beats that are measured off the grid, and codes that are judged twice or not at all."""
    beats = benchmark("beats")
    onsets = torch.zeros(37)
    onsets[3::5] = 1.0
    onsets[0] = 2.0
    assert beats.strongest(onsets, 5) == 3
    windows = beats.from_beats(torch.zeros(37 * BANDS, 2, dtype=torch.long), 3, 5, 12)
    assert [(each.first, each.columns) for each in windows] == [(0, 3), (3, 10), (13, 10), (23, 10), (33, 4)]
    assert [each.start for each in windows] == [BOS, MID, MID, MID, MID]
