"""Phase from magnitude: the vocoder goes on as a partial would, projections bring spectra closer."""

import math

import torch

from distill.audio.phase import griffin_lim, random_phase, to_samples, to_spectrum, vocoder_phase
from distill.models.sampling import clip_generator

N_FFT = 2048


def partial(hertz: float) -> torch.Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(48_000) / 48_000)[None]


def test_a_partial_keeps_its_phase() -> None:
    """The oracle is the true phase: a parabola through logarithms is off by at most 0.016 bins, 0.025 radians a frame."""
    begun = 8
    allowed = 0.03 * torch.arange(1, 43)
    for hertz in (220.0, 1234.5, 5011.0):
        spectrum = to_spectrum(partial(hertz), N_FFT)
        found = vocoder_phase(spectrum.abs(), clip_generator(0), known=spectrum[:, :, :begun].angle())
        row = round(hertz / 48_000 * N_FFT)
        error = torch.remainder(found - spectrum.angle() + math.pi, 2 * math.pi) - math.pi
        assert (error[0, row - 1 : row + 2, begun : begun + 42].abs() < allowed).all()


def test_without_a_beginning_a_partial_comes_out_steady() -> None:
    spectrum = to_spectrum(partial(1234.5), N_FFT)
    made = to_samples(torch.polar(spectrum.abs(), vocoder_phase(spectrum.abs(), clip_generator(1))), N_FFT, 48_000)
    level = made[0, 4096:-4096].unfold(0, 2048, 512).square().mean(-1).sqrt()
    assert float(level.min()) > 0.8 * 0.5 / math.sqrt(2)


def test_steps_bring_the_magnitude_closer() -> None:
    noise = torch.randn(1, 48_000, generator=torch.Generator().manual_seed(0))
    magnitude = to_spectrum(noise, N_FFT).abs()
    phase = random_phase(magnitude, clip_generator(0))

    def error(steps: int) -> float:
        made = griffin_lim(magnitude, phase, steps, 48_000)
        return float((to_spectrum(made, N_FFT).abs() - magnitude).norm() / magnitude.norm())

    assert error(32) < error(8) < error(0)


def test_what_is_known_is_not_changed() -> None:
    """Guards against a block that continues other samples than those before it."""
    sound = partial(330.0)
    magnitude = to_spectrum(sound, N_FFT).abs()
    known = sound[0, :12_288]
    made = griffin_lim(magnitude, random_phase(magnitude, clip_generator(0)), 16, 48_000, known)
    assert float((made[0, : 12_288 - N_FFT] - known[:-N_FFT]).abs().max()) < 0.1
