"""Sound played at a speed that changes: read between its samples, with a low-pass that gives way where it is played faster."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.signal

LOBES = 48
"""Zero crossings of the kernel on either side."""
STOPPED_DB = 100.0
STEPS = 512
"""Places of the kernel between two zero crossings; between them it is taken as straight (an error under -110 dB)."""
BLOCK = 4096

Numbers = npt.NDArray[np.float64]


def varispeed(samples: npt.NDArray[np.floating], places: Numbers) -> npt.NDArray[np.float32]:
    """Samples [N] as they are at places [L] between them, silence around them -> [L].

    A windowed sinc (Smith & Gossett, "A flexible sampling-rate conversion method", ICASSP 1984). Where places are more than a
    sample apart its cut-off falls, so that nothing is folded back from above half the sample rate.

    Args:
        places: rising, in samples; by how much they rise is the speed there.
    """
    made = np.zeros(len(places), dtype=np.float32)
    if len(places) < 2 or not len(samples):
        return made
    table, width = _kernel()
    speeds = np.gradient(places)
    for first in range(0, len(places), BLOCK):
        at = places[first : first + BLOCK]
        cut = 1.0 / np.maximum(speeds[first : first + BLOCK], 1.0)
        reach = int(np.ceil(LOBES / cut.min()))
        begins = np.floor(at).astype(np.int64)
        lowest, highest = int(begins.min()) - reach, int(begins.max()) + reach + 2
        inside = np.asarray(samples[max(0, lowest) : max(0, highest)], dtype=np.float64)
        around = np.pad(inside, (max(0, -lowest), 0))
        around = np.pad(around, (0, max(0, highest - lowest - len(around))))
        lags = np.arange(-reach, reach + 1)
        away = np.abs((begins - at)[:, None] + lags) * (cut[:, None] * STEPS)  # [B, 2 R + 1]
        np.minimum(away, LOBES * STEPS, out=away)
        under = away.astype(np.int64)
        weights = table[under]
        weights += (away - under) * (table[under + 1] - weights)
        read = np.lib.stride_tricks.sliding_window_view(around, 2 * reach + 1)[begins - reach - lowest]
        made[first : first + BLOCK] = np.einsum("bk,bk->b", weights, read) * cut * width
    return made


@lru_cache(maxsize=1)
def _kernel() -> tuple[Numbers, float]:
    """Half of the kernel [LOBES * STEPS + 2], and the share of all frequencies that it lets pass."""
    width = 1.0 - (STOPPED_DB - 7.95) / (
        2.285 * np.pi * 4 * LOBES
    )  # Kaiser: half of the transition is kept, below the end
    away = np.arange(LOBES * STEPS + 2) / STEPS
    beta = scipy.signal.kaiser_beta(STOPPED_DB)
    window = np.i0(beta * np.sqrt(np.clip(1.0 - np.square(away / LOBES), 0.0, None))) / np.i0(beta)
    table = np.sinc(away * width) * window
    table[away >= LOBES] = 0.0
    return table, width
