"""After how long a sound comes round again, if it does: the largest autocorrelation of its onset envelope."""

from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_STRENGTH = 0.35
"""Normalised autocorrelation from which on a sound has a period (loops of drums: 0.5 to 0.75; one of noises: 0.1)."""
MULTIPLES = 4
"""A period is measured again over as many of itself, for precision."""


def beat_period(mel: npt.NDArray[np.floating[Any]], least: int, most: int) -> float | None:
    """The period of a log-mel [T, M] in frames, between `least` and `most`; None where there is none.

    The envelope is the mean rise of all bands from frame to frame. A sound has to hold its period twice.
    """
    rise = np.clip(np.diff(np.asarray(mel, dtype=np.float64), axis=0), 0.0, None).mean(axis=1)
    most = min(most, len(rise) // 2)
    if most <= least:
        return None
    spectrum = np.fft.rfft(rise - rise.mean(), 2 * len(rise))
    likeness = np.fft.irfft(spectrum * spectrum.conj())[: len(rise)]
    lag = least + int(likeness[least : most + 1].argmax())
    if likeness[lag] < LEAST_STRENGTH * likeness[0] or lag in (least, most):
        return None
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
    under, here, over = values[at - 1 : at + 2]
    bend = under - 2.0 * here + over
    return at + (0.5 * (under - over) / bend if bend < 0.0 else 0.0)
