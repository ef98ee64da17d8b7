"""The tests behind a verdict: which of many sounds stand out, how sure a share is, whether two sets differ."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu, norm, t

TAIL = 0.1
"""Below this chance the null's own values are few, and its tail is taken to be no heavier than Student's t."""
USUAL_COUNTS = 3.0
"""What is usual of other material counts like so many values: of a few recordings no narrow null is believed."""
SURE = 1.96
"""Standard deviations on either side that hold 95 %."""

Values = npt.NDArray[np.float64]


class Null(NamedTuple):
    """What is to be expected where nothing was copied: values of pieces, weighted so that each recording counts once."""

    values: Values  # [n], smaller: nearer
    weights: Values  # [n], of a recording's pieces 1 in all

    @classmethod
    def of(cls, values: Sequence[float], recordings: Sequence[Any]) -> "Null":
        """`recordings`: which recording each value is of."""
        _, which, counts = np.unique(
            np.array([str(each) for each in recordings]), return_inverse=True, return_counts=True
        )
        return cls(np.asarray(values, dtype=np.float64), 1.0 / counts[which])

    @property
    def recordings(self) -> float:
        """How many recordings it is of."""
        return float(self.weights.sum())

    def p(self, values: Values) -> Values:
        """The chance of a value as small as each, by its rank among the null's (conformal: Vovk et al., 2005); in the lower
        tail, where those are too few to count, at most what Student's t with the spread of the null's lower half says."""
        count = self.recordings
        below = (self.weights * (self.values[None] <= np.asarray(values)[:, None])).sum(1)
        ranked: Values = (1.0 + below) / (count + 1.0)
        centre = self.quantile(0.5)
        if count < 3:
            return ranked
        away = (np.asarray(values) - centre) / max(self.lower_spread(1.0) * np.sqrt(1.0 + 1.0 / count), 1e-9)
        tail = t.cdf(away, df=max(1.0, count / 2.0 - 1.0))  # half of the recordings say how wide it is
        found: Values = np.where(ranked <= TAIL + 1.0 / (count + 1.0), np.minimum(tail, ranked), ranked)
        return found

    def lower_spread(self, usual: float) -> float:
        """Deviation of the lower half from the middle; `usual` counts like as many values as `USUAL_COUNTS`."""
        centre = self.quantile(0.5)
        lower = self.values < centre
        squares = float((self.weights[lower] * (self.values[lower] - centre) ** 2).sum())
        return float(np.sqrt((squares + USUAL_COUNTS * usual**2) / (float(self.weights[lower].sum()) + USUAL_COUNTS)))

    def quantile(self, share: float) -> float:
        """The value that this share of the null lies under."""
        order = self.values.argsort()
        reached = self.weights[order].cumsum() / self.recordings
        return float(self.values[order][min(int(np.searchsorted(reached, share)), len(order) - 1)])


def standing_out(p: Values, rate: float) -> npt.NDArray[np.bool_]:
    """Which of many are held to be no chance, so that at most `rate` of them are wrongly so (Benjamini and Hochberg, 1995)."""
    order = p.argsort()
    kept = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    found = np.zeros(len(p), dtype=bool)
    found[order[: kept[-1] + 1 if len(kept) else 0]] = True
    return found


def wilson(successes: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    if of == 0:
        return 0.0, 1.0
    share, square = successes / of, SURE**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = SURE / (1 + square / of) * np.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


class Shift(NamedTuple):
    """Whether one set of values is smaller or larger than another."""

    p_smaller: float
    z: float
    """Of the ranks; below 0: the first set is smaller."""
    chance_larger: float
    """That a value of the first is larger than one of the second; 0.5: they are alike."""


def shift(first: Values, second: Values) -> Shift:
    """Mann and Whitney's test (1947), with which Meehan et al. (2020) ask whether generated samples are nearer to the
    training set than unseen ones are."""
    if not len(first) or not len(second):
        return Shift(1.0, 0.0, 0.5)
    found = mannwhitneyu(first, second, alternative="less")
    chance = float(found.statistic) / (len(first) * len(second))
    ties = np.concatenate([first, second])
    if np.ptp(ties) == 0:
        return Shift(1.0, 0.0, 0.5)
    spread = np.sqrt(len(first) * len(second) * (len(first) + len(second) + 1) / 12.0)
    z = (float(found.statistic) - len(first) * len(second) / 2.0) / spread
    return Shift(float(found.pvalue), float(z), chance)


def normal_chance(z: float) -> float:
    """How likely a normal deviate over `z` is."""
    return float(norm.sf(z))
