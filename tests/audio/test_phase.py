"""Phase from magnitude: the vocoder goes on as a partial would, projections bring spectra closer."""

import math

import torch

from distill.audio.phase import GAUSSIAN, griffin_lim, random_phase, to_samples, to_spectrum, vocoder_phase
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


def plain_griffin_lim(magnitude: torch.Tensor, phase: torch.Tensor, steps: int, known: torch.Tensor) -> torch.Tensor:
    """As the paper has it, with the transforms of torch and complex numbers as they are; in float64."""
    window, momentum = torch.hann_window(N_FFT, dtype=torch.float64), 0.99
    wanted, length = magnitude.double(), (magnitude.shape[-1] - 1) * N_FFT // 4

    def back(spectrum: torch.Tensor) -> torch.Tensor:
        return torch.istft(spectrum, N_FFT, N_FFT // 4, window=window, length=length)

    spectrum = torch.polar(wanted, phase.double())
    before = torch.zeros_like(spectrum)
    for _ in range(steps):
        samples = back(spectrum)
        samples[:, : len(known)] = known.double()
        now = torch.stft(samples, N_FFT, N_FFT // 4, window=window, pad_mode="constant", return_complex=True)
        ahead = now + momentum * (now - before)
        spectrum, before = wanted * ahead / ahead.abs().clamp_min(1e-16), now
    return back(spectrum)


def test_the_quick_steps_are_the_plain_ones() -> None:
    """Guards against bins and frames that are mixed up where spectra lie the other way round in memory, whichever way the
    magnitudes lie that come in."""
    sound = partial(330.0)[:, : 93 * 512] + 0.1 * torch.randn(1, 93 * 512, generator=clip_generator(3))
    window = torch.hann_window(N_FFT)
    oracle = torch.stft(sound, N_FFT, N_FFT // 4, window=window, pad_mode="constant", return_complex=True)
    assert torch.equal(to_spectrum(sound, N_FFT), oracle)
    magnitude = oracle.abs()
    phase, known = random_phase(magnitude, clip_generator(0)), 0.1 * torch.randn(4096, generator=clip_generator(4))
    wanted = plain_griffin_lim(magnitude, phase, 3, known)
    turned = magnitude.transpose(1, 2).contiguous().transpose(1, 2)
    for each in (magnitude, turned):
        made = griffin_lim(each, phase, 3, 93 * 512, known)
        assert float((made - wanted).abs().max()) < 1e-4


def test_bins_belong_to_the_nearest_peak() -> None:
    """The oracle goes through a sound frame by frame and bin by bin: each takes over the turn of the peak that is nearest, the
    lower one where two are; from there on, and in the first frame, it turns by half a round for each bin, and by more where
    what is there grows. Guards against sounds of a batch that take each other's phase, too."""
    magnitude = torch.rand(2, 65, 4, generator=clip_generator(5)) + 0.1
    found = vocoder_phase(magnitude, clip_generator(0))
    for sound, frame in ((0, 0), (0, 1), (1, 0), (1, 2), (1, 3)):
        logs = magnitude[sound].log().T.tolist()  # of each frame
        before, after = logs[max(0, frame - 1)], logs[min(3, frame + 1)]
        growth = [(b - a) * (2.0 if frame == 0 else 1.0) for a, b in zip(before, after, strict=True)]
        late = [min(max(2.0 * GAUSSIAN * each, -0.5), 0.5) for each in growth]

        def turned(first: int, last: int, late: list[float] = late) -> float:
            """From a bin to a higher one."""
            return sum(-math.pi - math.pi * (late[n] + late[n - 1]) for n in range(first + 1, last + 1))

        level = [-30.0, *logs[frame], -30.0]
        peaks = [n for n in range(65) if level[n] < level[n + 1] >= level[n + 2]]
        for place in range(65):
            if frame == 0:
                wanted = float(found[sound, 0, 0]) + turned(0, place)
            else:
                peak = min(peaks, key=lambda n, place=place: (abs(n - place), n))
                below, here, above = level[peak : peak + 3]
                bend = min(below - 2 * here + above, -1e-6)
                frequency = peak + min(max(0.5 * (below - above) / bend, -0.5), 0.5)
                across = turned(peak, place) if place >= peak else -turned(place, peak)
                wanted = float(found[sound, peak, frame - 1]) + math.pi / 2 * frequency + across
            assert abs(math.remainder(float(found[sound, place, frame]) - wanted, 2 * math.pi)) < 1e-3


def test_an_attack_stays_together() -> None:
    """Guards against attacks that are smeared over a window: of a click's magnitudes, with no step of Griffin-Lim, most energy
    comes back within 10 ms of the click, wherever it lies between frames."""
    for place in (9_000, 9_137, 9_400):
        click = torch.zeros(1, 20_480)
        click[0, place] = 1.0
        magnitude = to_spectrum(click, N_FFT).abs()
        made = to_samples(torch.polar(magnitude, vocoder_phase(magnitude, clip_generator(2))), N_FFT, 20_480)[
            0
        ].square()
        assert float(made[place - 480 : place + 480].sum() / made.sum()) > 0.95
