"""Grain: coded where there is a recording, drawn as it was measured where there is none."""

import math

import pytest
import torch
from scipy.fft import dctn

from distill.models.grain import (
    BIN_DB,
    DEEPEST_DB,
    LARGEST_DB,
    NUMBERS,
    STEP_DB,
    Difference,
    DrawnGrain,
    bits_of_grain,
    coded_grain,
    cosines,
    from_patches,
    residual,
    to_patches,
    with_grain,
)

BANDS, FRAMES = 128, 320


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape or (BANDS, FRAMES), generator=torch.Generator().manual_seed(seed))


def smooth(seed: int = 0) -> torch.Tensor:
    """[M, T] dB: something that rises and falls slowly between -60 and 0."""
    time = torch.arange(FRAMES)
    return -30.0 + 25.0 * torch.sin(time / 60.0 + seed)[None] - torch.linspace(0.0, 5.0, BANDS)[:, None]


def test_patches_stand_in_the_order_of_positions() -> None:
    """Guards against grain that is put into another band or column than it was taken from."""
    mel = smooth() + noise(0)
    patches = to_patches(mel)
    for position in (0, 1, 7, 8, 9, 159):
        column, band = divmod(position, 8)
        cut = mel[16 * band : 16 * band + 16, 16 * column : 16 * column + 16]
        assert torch.equal(patches[position], cut.flatten())
    assert torch.equal(from_patches(patches), mel)


def test_the_transform_is_the_orthonormal_cosine_transform() -> None:
    patch = noise(1, 16, 16)
    own = (patch.flatten() @ cosines(torch.device("cpu"))).sort().values
    expected = torch.from_numpy(dctn(patch.double().numpy(), norm="ortho")).flatten().sort().values
    torch.testing.assert_close(own.double(), expected, atol=1e-4, rtol=0)


def test_coded_grain_brings_back_what_codes_left() -> None:
    """Guards against grain in other steps, of other patches, or against a sign that is lost."""
    decoded = smooth()
    slow = torch.zeros(BANDS // 16 * FRAMES // 16, 256)
    slow[:, :NUMBERS] = 20.0 * noise(2, len(slow), NUMBERS)
    mel = (decoded + from_patches(slow @ cosines(torch.device("cpu")).T)).clamp_max(0.0)
    made = with_grain(decoded, coded_grain(mel, decoded))
    left = mel - made
    assert float(left.square().mean().sqrt()) < 0.5 * STEP_DB
    assert float((mel - decoded).square().mean().sqrt()) > 2.0 * STEP_DB
    assert float(made.max()) <= 0.0


def test_nothing_left_is_no_grain() -> None:
    assert not coded_grain(smooth(), smooth()).any()
    quiet = torch.full((BANDS, 16), -100.0)
    assert not coded_grain(quiet, quiet - 9.0).any()
    torch.testing.assert_close(with_grain(quiet, coded_grain(quiet, quiet)), quiet)


def test_silence_that_codes_miss_is_silent() -> None:
    """Guards against a noise floor where a recording is silent and its codes are not."""
    silence, decoded = torch.full((BANDS, 16), -110.0), torch.full((BANDS, 16), -60.0)
    assert float(with_grain(decoded, coded_grain(silence, decoded)).max()) <= DEEPEST_DB + STEP_DB


def test_what_was_added_is_measured() -> None:
    """Guards against deviations of other bands or levels, and against attacks (30 dB here) that are taken for grain."""
    wanted = torch.linspace(1.0, 4.0, BANDS)
    files = []
    for seed in range(12):
        decoded = smooth(seed)
        added = noise(seed) * wanted[:, None]
        added[:, 100:104] += 30.0
        files.append(Difference(decoded, residual(decoded + added, decoded)))
    found = DrawnGrain.measured(files).deviation_db
    common = found[8:-8, -8:-2]  # levels that all bands have
    assert float((common / wanted[8:-8, None] - 1.0).abs().max()) < 0.25


def test_what_is_drawn_is_measured_as_what_was_wanted() -> None:
    """Guards against noise that is scaled by the wrong band or level, or that is white whatever was measured."""
    wanted = DrawnGrain(BANDS)
    wanted.deviation_db[:] = torch.linspace(1.0, 3.0, BANDS)[:, None]
    slow = torch.zeros(256)
    slow[:32] = math.sqrt(256 / 32)
    wanted.shape[:] = slow
    files = []
    for seed in range(12):
        decoded = smooth(seed)
        made = wanted.draw(decoded, torch.Generator().manual_seed(seed))
        assert float(made.max()) <= 0.0
        files.append(Difference(decoded, residual(made, decoded)))
    found = DrawnGrain.measured(files)
    assert float((found.deviation_db[8:-8, -8:-3] / wanted.deviation_db[8:-8, -8:-3] - 1.0).abs().max()) < 0.3
    energy = found.shape.square()
    assert float(energy[:, :32].sum() / energy.sum()) > 0.8


def test_drawing_keeps_its_bounds() -> None:
    """Guards against grain in silence, louder sounds, and other noise for the same seed when a sound goes on."""
    grain = DrawnGrain(BANDS)
    grain.deviation_db[:] = 100.0
    decoded = smooth()
    decoded[:, :32] = -105.0
    made = grain.draw(decoded, torch.Generator().manual_seed(3))
    assert torch.equal(made[:, :32], decoded[:, :32])
    assert float((made - decoded).max()) <= LARGEST_DB + 1e-4
    shorter = grain.draw(decoded[:, :160], torch.Generator().manual_seed(3))
    torch.testing.assert_close(shorter, made[:, :160])
    torch.testing.assert_close(grain.draw(decoded, torch.Generator().manual_seed(3), 0.0), decoded, atol=1e-4, rtol=0)


def test_the_texture_of_earlier_versions_is_grain() -> None:
    grain = DrawnGrain.of_texture([2.0] * BANDS)
    made = grain.draw(torch.full((BANDS, FRAMES), -40.0), torch.Generator().manual_seed(0))
    assert float(made.std()) == pytest.approx(2.0, rel=0.05)
    deep = torch.full((BANDS, 16), -60.0 - 2 * BIN_DB)
    torch.testing.assert_close(grain.draw(deep, torch.Generator().manual_seed(0)), deep)


def test_bits_are_the_entropy_of_each_number() -> None:
    grain = torch.zeros(8, NUMBERS, dtype=torch.int16)
    grain[:4, 0] = 1
    grain[::2, 5] = 3
    grain[::4, 6] = -1
    quarter = 0.25 * 2 + 0.75 * math.log2(4 / 3)
    assert bits_of_grain(grain) == pytest.approx(2.0 + quarter)
