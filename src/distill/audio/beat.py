"""After how long a sound comes round again, if it does: the largest autocorrelations of its onset envelope, where it then
sounds as it did before."""

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_STRENGTH = 0.35
"""Normalised autocorrelation from which on a sound has a period (loops of drums: 0.5 to 0.75; one of noises: 0.1)."""
AS_LIKE = 0.9
"""Others are periods too that are as strong as the strongest one up to this: what comes round after a bar may after a beat."""
COMES_BACK = 0.85
"""A period apart, a log-mel differs by no more than this share of what it does at lags between: loops of drums 0.2 to 0.8, a
drone that pulses 1.3."""
LAGS_BETWEEN = (0.3, 0.4, 0.6, 0.7)
AUDIBLE_DB = 60.0
"""What is softer than the loudest cell by more than this is alike in all places."""
MULTIPLES = 4
"""A period is measured again over as many of itself, for precision."""


def beat_periods(mel: npt.NDArray[np.floating[Any]], least: int, most: int) -> list[float]:
    """The periods of a log-mel [T, M] in frames, between `least` and `most`, the strongest first; none where it has none.

    The envelope is the mean rise of all bands from frame to frame. A sound has to hold a period twice.
    """
    if len(mel) < 2:
        return []
    rise = np.clip(np.diff(np.asarray(mel, dtype=np.float64), axis=0), 0.0, None).mean(axis=1)
    spectrum = np.fft.rfft(rise - rise.mean(), 2 * len(rise))
    likeness = np.fft.irfft(spectrum * spectrum.conj())[: len(rise)]
    within = likeness[least : min(most, len(rise) // 2) + 1]
    if len(within) < 3 or likeness[0] <= 0.0:
        return []
    peaks = 1 + np.flatnonzero((within[1:-1] >= within[:-2]) & (within[1:-1] > within[2:]))
    strong = peaks[within[peaks] >= max(LEAST_STRENGTH * likeness[0], AS_LIKE * within[peaks].max(initial=0.0))]
    periods = [_precisely(likeness, least + int(peak)) for peak in sorted(strong, key=lambda each: -within[each])]
    heard = np.maximum(mel, mel.max() - AUDIBLE_DB)
    return [period for period in periods if _comes_back(heard, period)]


def _comes_back(mel: npt.NDArray[np.floating[Any]], period: float) -> bool:
    """Whether a log-mel [T, M] is more like itself a period before than at lags between."""

    def difference(lag: float) -> float:
        frames = max(1, round(lag))
        return float(np.abs(mel[frames:] - mel[:-frames]).mean(dtype=np.float64))

    between = [difference(share * period) for share in LAGS_BETWEEN]
    return difference(period) <= COMES_BACK * sum(between) / len(between)


def _precisely(likeness: npt.NDArray[np.float64], lag: int) -> float:
    """A period measured over as many of itself as there are."""
    period = float(lag)
    for times in range(1, MULTIPLES + 1):
        near = round(times * period)
        reach = max(1, near // 50)
        if near + reach + 2 > len(likeness) * 3 // 4:
            break
        period = _highest(likeness, near - reach, near + reach) / times
    return period


def _highest(values: npt.NDArray[np.float64], first: int, last: int) -> float:
    """Where values are highest among first .. last, between the places by a parabola."""
    at = first + int(values[first : last + 1].argmax())
    under, here, over = (float(value) for value in values[at - 1 : at + 2])
    bend = under - 2.0 * here + over
    return at + (0.5 * (under - over) / bend if bend < 0.0 else 0.0)
