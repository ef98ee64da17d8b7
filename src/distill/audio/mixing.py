"""From many channels to one, without losing the sound where channels cancel each other. No torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

CANCELLED = 0.2
"""Power of the mean, as a share of what unrelated channels would leave in it, below which channels cancel. In the recordings that
this was tried on the widest stereo leaves 0.31; two microphones of which one is inverted leave 0.0 to 0.1."""
LOST_SHARE = 0.25
"""Share of a file's power in passages whose channels cancel, from which on the mean is not used."""
INVERTED = -0.98
"""Correlation with the loudest channel below which a channel is its inverse, and turned over rather than left out."""
PASSAGE_SECONDS = 0.5


@dataclass(frozen=True)
class Mix:
    """How channels become one."""

    weights: tuple[float, ...] | None = None
    """One a channel; None: the mean."""
    note: str = ""
    """What the user should know of it."""

    def __call__(self, samples: Samples) -> Samples:
        """[n, channels] -> [n]. In float64: loud float files must not overflow before they are judged."""
        with np.errstate(all="ignore"):  # who calls looks for what is no number
            if self.weights is None or len(self.weights) != samples.shape[1]:
                mean: Samples = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
                return mean
            mixed: Samples = (samples.astype(np.float64) @ np.array(self.weights)).astype(np.float32)
            return mixed


class ChannelPower:
    """What is known of how a file's channels relate, gathered block by block; memory does not grow with the file."""

    def __init__(self, channels: int) -> None:
        self._covariance = np.zeros((channels, channels))
        self._power = self._lost = 0.0

    def add(self, samples: Samples, rate: int) -> None:
        """Take [n, channels] into account."""
        length = max(int(PASSAGE_SECONDS * rate), 1)
        for start in range(0, len(samples), length):
            passage = samples[start : start + length]
            with np.errstate(all="ignore"):  # what is too loud for float32, or no number, tells nothing here
                sums = (np.ones(len(passage), np.float32) @ passage).astype(np.float64)
                covariance = (passage.T @ passage).astype(np.float64) - np.outer(sums, sums) / len(passage)
            if not np.isfinite(covariance).all():
                continue
            unrelated, mean = _powers(covariance)
            self._covariance += covariance
            self._power += unrelated
            self._lost += unrelated if mean < CANCELLED * unrelated else 0.0

    def mix(self) -> Mix:
        """The mean, or where channels cancel in it: with inverted ones turned over, or the loudest alone."""
        if self._lost <= LOST_SHARE * self._power or self._power == 0.0:
            return Mix()
        power = np.diag(self._covariance)
        loudest = int(power.argmax())
        correlation = self._covariance[loudest] / np.sqrt(np.maximum(power * power[loudest], 1e-300))
        signs = np.where(correlation < INVERTED, -1.0, 1.0)
        unrelated, mean = _powers(self._covariance * np.outer(signs, signs))
        channels = len(power)
        if mean >= unrelated and (signs < 0).any():
            return Mix(
                tuple(signs / channels), "its channels cancel each other: the inverted one is turned over in the mix"
            )
        alone = tuple(float(channel == loudest) for channel in range(channels))
        name = ("left", "right")[loudest] if channels == 2 else f"number {loudest + 1}"
        return Mix(alone, f"its channels cancel each other: only the louder one ({name}) is used")


def _powers(covariance: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean's power if the channels were unrelated, and as it is."""
    return float(np.trace(covariance)) / len(covariance) ** 2, float(covariance.sum()) / len(covariance) ** 2
