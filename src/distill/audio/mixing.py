"""From many channels to one, without losing the sound where channels cancel each other, and to two: that one is their
middle, and beside it is the side, half of what the left has more than the right. No torch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

CANCELLED = 0.2
"""Power of the mean, as a share of what unrelated channels would leave in it, below which channels cancel. In the recordings that
this was tried on the widest stereo leaves 0.3; two microphones of which one is inverted leave 0.0 to 0.1."""
LOST_SHARE = 0.25
"""Share of a band's power in passages whose channels cancel, from which on the mean is not used."""
BANDS = (1, 16, 4)
"""Samples that are summed, one time after the other, to look at all of the sound, below about 1.4 kHz and below about 350 Hz:
where an inverted channel is a little late too, only the bass cancels."""
BAND_COUNTS = 0.1
"""A band counts with this share of the whole power."""
INVERTED = -0.98
"""Correlation with the loudest channel below which a channel is its inverse, and turned over rather than left out."""
AS_LOUD = 0.9
"""Of channels with this share of the loudest one's power the first is taken, whose polarity the mix keeps."""
PASSAGE_SECONDS = 0.25
LAYOUTS = {
    2: (1, -1), 3: (1, -1, 0), 4: (1, -1, 1, -1), 5: (1, -1, 0, 1, -1), 6: (1, -1, 0, 0, 1, -1),
    7: (1, -1, 0, 0, 0, 1, -1), 8: (1, -1, 0, 0, 1, -1, 1, -1),
}  # fmt: skip
"""By their number, which channels are left (1), right (-1) and neither, in the order of WAV and FLAC (quadraphonic, 5.1, 7.1);
other numbers tell nothing of where a channel is."""


@dataclass(frozen=True)
class Mix:
    """How channels become one."""

    weights: tuple[float, ...] | None = None
    """One a channel; None: the mean."""
    note: str = ""
    """What the user should know of it."""

    alone: bool = False
    """Whether one channel is used and the others are not."""

    def side(self, samples: Samples) -> Samples:
        """[n, channels] -> [n]: with the mix m, the left is m + side and the right m - side."""
        channels = samples.shape[1]
        places = np.array(LAYOUTS.get(channels, (0,) * channels)) * (not self.alone)
        weights = np.array(self.weights) if self.weights is not None else np.full(channels, 1.0 / channels)
        with np.errstate(all="ignore"):
            if len(weights) != channels:
                weights = np.full(channels, 1.0 / channels)
            side: Samples = (samples.astype(np.float64) @ (places * weights)).astype(np.float32)
            return side

    def __call__(self, samples: Samples) -> Samples:
        """[n, channels] -> [n]. In float64: loud float files must not overflow before they are judged."""
        with np.errstate(all="ignore"):  # who calls looks for what is no number
            if self.weights is None or len(self.weights) != samples.shape[1]:
                channels = samples.shape[1]
                # `mean` gives the same for two, forty times slower.
                sums = (
                    samples.astype(np.float64) @ np.ones(2) if channels == 2 else samples.sum(axis=1, dtype=np.float64)
                )
                mean: Samples = (sums / channels).astype(np.float32)
                return mean
            mixed: Samples = (samples.astype(np.float64) @ np.array(self.weights)).astype(np.float32)
            return mixed


class ChannelPower:
    """What is known of how a file's channels relate, gathered block by block; memory does not grow with the file."""

    def __init__(self, channels: int) -> None:
        self._covariance = np.zeros((channels, channels))
        self._power = np.zeros(len(BANDS))
        self._lost = np.zeros(len(BANDS))

    def add(self, samples: Samples, rate: int) -> None:
        """Take [n, channels] into account."""
        channels = samples.shape[1]
        passage, scale = max(int(PASSAGE_SECONDS * rate), 1), 1
        with np.errstate(all="ignore"):  # what is too loud for float32, or no number, tells nothing here
            for band, together in enumerate(BANDS):
                if together > 1:
                    whole = len(samples) // together * together
                    samples = samples[:whole].reshape(-1, together * channels) @ np.tile(
                        np.eye(channels, dtype=np.float32), (together, 1)
                    )
                    passage, scale = max(passage // together, 1), scale * together
                for start in range(0, len(samples), passage):
                    self._add(band, samples[start : start + passage], scale)

    def _add(self, band: int, passage: Samples, scale: int) -> None:
        """A passage of a band, of which each sample is the sum of `scale` of them."""
        sums = (np.ones(len(passage), np.float32) @ passage).astype(np.float64)
        covariance = (passage.T @ passage).astype(np.float64) - np.outer(sums, sums) / len(passage)
        if not np.isfinite(covariance).all():
            return
        unrelated, mean = _powers(covariance / scale)
        self._power[band] += unrelated
        self._lost[band] += unrelated if mean < CANCELLED * unrelated else 0.0
        if band == 0:
            self._covariance += covariance

    def mix(self) -> Mix:
        """The mean, or where channels cancel in it: with inverted ones turned over, or the loudest alone."""
        counts = self._power > BAND_COUNTS * self._power[0]
        if not (counts & (self._lost > LOST_SHARE * self._power)).any():
            return Mix()
        power = np.diag(self._covariance)
        loudest = int((power >= AS_LOUD * power.max()).argmax())
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
        return Mix(alone, f"its channels cancel each other: only the louder one ({name}) is used", alone=True)


def _powers(covariance: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The mean's power if the channels were unrelated, and as it is."""
    return float(np.trace(covariance)) / len(covariance) ** 2, float(covariance.sum()) / len(covariance) ** 2
