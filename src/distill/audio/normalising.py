"""Sounds made as loud as is asked for, by turning them up or down as a whole: no limiter changes what is heard.

Loudness is ITU-R BS.1770-4 as pyloudnorm measures it, peaks are true peaks: what is between samples counts. No torch.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyloudnorm
import soxr

Samples = npt.NDArray[np.float32]

CEILING_DB = -1.0
"""The highest true peak that a sound is brought to (EBU R 128), so that converters and lossy formats do not clip."""
OVERSAMPLED = 4
BLOCK_SECONDS = 0.4
"""What loudness is measured over. A shorter sound counts as one block with silence after it: what a meter reads where it is
played once. So of two equally strong sounds the shorter is softer, as it is to ears."""
LOOP_SECONDS = 3.0
"""A loop is measured as it plays, over and over, for at least so long and three times."""
EDGE_SAMPLES = 512
"""So many samples of silence, or of a loop itself, are before and after a sound while its peaks are looked for, in half of
them too."""


def lufs(samples: Samples, rate: int, loop: bool = False) -> float:
    """The integrated loudness of samples [channels, N] in LUFS; minus infinity where every block is below -70."""
    if not samples.shape[1]:
        return -math.inf
    heard = np.asarray(samples.T, np.float64)
    if loop:
        heard = np.tile(heard, (max(3, math.ceil(LOOP_SECONDS * rate / len(heard))), 1))
    short = math.ceil(BLOCK_SECONDS * rate) - len(heard)
    if short > 0:
        heard = np.pad(heard, ((0, short), (0, 0)))
    return float(pyloudnorm.Meter(rate, block_size=BLOCK_SECONDS).integrated_loudness(heard))


def true_peak_db(samples: Samples, loop: bool = False) -> float:
    """The highest peak of samples [channels, N] in dB, at four times their rate (ITU-R BS.1770-4, annex 2)."""
    if not samples.shape[1]:
        return -math.inf
    around = np.pad(samples, ((0, 0), (EDGE_SAMPLES, EDGE_SAMPLES)), mode="wrap" if loop else "constant")
    between = soxr.resample(np.ascontiguousarray(around.T), 1.0, OVERSAMPLED, quality="VHQ")
    inside = between[EDGE_SAMPLES // 2 * OVERSAMPLED : -(EDGE_SAMPLES // 2 * OVERSAMPLED)]
    peak = max(float(np.abs(inside).max()), float(np.abs(samples).max()))
    return 20.0 * math.log10(peak) if peak > 0.0 else -math.inf


def at_peak(samples: Samples, loop: bool = False) -> Samples:
    """Samples [channels, N] whose highest true peak is at `CEILING_DB`. Silence stays silent."""
    return _turned(samples, CEILING_DB - true_peak_db(samples, loop))


def as_loud_as(samples: Samples, rate: int, wanted: float, loop: bool = False) -> tuple[Samples, float]:
    """Samples [channels, N] of `wanted` LUFS, and by how many dB they are softer because of their peaks. Silence stays silent."""
    gain_db, room_db = wanted - lufs(samples, rate, loop), CEILING_DB - true_peak_db(samples, loop)
    if not math.isfinite(gain_db):
        return samples, 0.0
    return _turned(samples, min(gain_db, room_db)), max(0.0, gain_db - room_db)


def told_softer(softer_db: Sequence[float], wanted: float) -> str:
    """The sentence for sounds that are softer than was asked for, 0 for those that are not."""
    some = [each for each in softer_db if each]
    return (
        f"{len(some)} of {len(softer_db)} sounds are softer than {wanted:g} LUFS, by up to {max(some):.1f} dB: any louder, "
        f"their peaks would pass {CEILING_DB:g} dB. A lower --lufs makes all alike"
    )


def _turned(samples: Samples, gain_db: float) -> Samples:
    return samples * np.float32(10.0 ** (gain_db / 20.0)) if math.isfinite(gain_db) else samples
