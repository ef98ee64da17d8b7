"""Attribution: what a sound owes to which recordings, from how its likelihood falls where one is left out.

A share is a part of what all suspects together explain, with an interval from other seeds and other columns of the sound
(bootstrap over both). Where intervals overlap the first place is chance, and that is what is said.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distill.events import Event

DRAWS = 2_000
LEVEL = 0.9
"""How likely a share lies in its interval, as far as seeds and columns tell."""
LEAST_BITS = 10.0
"""A likelihood that falls by less than a thousandth is no evidence (Jeffreys, 1961, calls a hundredth decisive)."""
CANNOT_TELL = "cannot tell"
TOLD = "told"
Falls = npt.NDArray[np.floating[Any]]
"""[seeds, suspects, columns]: bits by which each column of the sound gets less likely where a suspect is left out."""


@dataclass(frozen=True)
class Suspect:
    """A recording that a sound may be from, with those that nearly repeat it."""

    name: str
    with_it: tuple[str, ...]
    """Others of its group, left out with it."""
    unexplained: float
    """As of `distill where`: share of the sound's variation that the recording leaves unexplained."""
    bits: float
    """By how much the sound gets less likely without it."""
    share: float
    """Of what the suspects explain, 0 to 1."""
    low: float
    high: float


@dataclass(frozen=True)
class AttributionReport(Event):
    """Which recordings a sound is from, as far as can be told."""

    model: str
    file: str
    seconds: float
    recordings: int
    """That the model has learned from."""
    suspects: tuple[Suspect, ...]
    """The first has the largest share."""
    verdict: str
    """`told` or `cannot tell`."""
    reason: str
    seeds: int

    @property
    def first(self) -> str | None:
        """The recording that it is from; None: that cannot be told."""
        return self.suspects[0].name if self.verdict == TOLD else None

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        first = self.suspects[0]
        if self.verdict != TOLD:
            return f"Cannot tell: {self.reason}"
        of = f"{first.share:.0%} of what the suspects explain ({first.low:.0%} to {first.high:.0%})"
        return f"{first.name}: {of}. {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {
            **asdict(self),
            "suspects": [asdict(each) for each in self.suspects],
            "first": self.first,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Shares:
    """Shares of suspects [n], and where they lie."""

    share: Falls
    low: Falls
    high: Falls
    total: tuple[float, float]
    """Bits that all explain together, the lowest and highest."""


def shares_of(falls: Falls, seed: int = 0) -> Shares:
    """[seeds, suspects, columns] -> shares with intervals.

    A fall below zero is none: the sound does not get likelier by what is left out but by chance.
    """
    rng = np.random.default_rng(seed)
    seeds, _, columns = falls.shape
    which = rng.integers(0, seeds, (DRAWS, seeds))
    where = rng.integers(0, columns, (DRAWS, columns))
    drawn = np.stack(
        [falls[chosen][..., at].mean(0).sum(-1) for chosen, at in zip(which, where, strict=True)]
    )  # [D, n]
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    low, high = np.quantile(_shares(drawn), ends, axis=0)
    together = np.quantile(np.maximum(drawn, 0.0).sum(1), ends)
    share = _shares(falls.mean(0).sum(-1)[None])[0]
    return Shares(share, np.minimum(low, share), np.maximum(high, share), (float(together[0]), float(together[1])))


def judged(shares: Shares, bits: Falls) -> tuple[str, str]:
    """The verdict and the figure that decided: whether the first's interval lies above all others' and above nothing.

    A sound that gets likelier where something is left out does so by chance; a fall that is no larger may be chance too.
    """
    chance = max(0.0, -float(bits.min()))
    order = np.argsort(-shares.share, kind="stable")
    first, second = int(order[0]), int(order[1])
    if bits[first] < LEAST_BITS or shares.low[first] <= 0.0:
        return CANNOT_TELL, (
            f"without none of the nearest recordings does the sound get less likely by {LEAST_BITS:.0f} bits for sure."
        )
    if bits[first] <= chance:
        return CANNOT_TELL, (
            f"without the first the sound gets {bits[first]:.1f} bits less likely, and without another {chance:.1f} bits "
            "likelier, which can only be chance."
        )
    if shares.low[first] <= shares.high[second]:
        return CANNOT_TELL, (
            f"the first lies between {shares.low[first]:.0%} and {shares.high[first]:.0%} and the second between "
            f"{shares.low[second]:.0%} and {shares.high[second]:.0%} of what the suspects explain."
        )
    return TOLD, f"Without it the sound is {bits[first]:.0f} bits less likely; without the next, {bits[second]:.0f}."


def suspects_of(
    names: Sequence[str], groups: Sequence[Sequence[str]], unexplained: Sequence[float], falls: Falls, shares: Shares
) -> tuple[Suspect, ...]:
    """The suspects in the order of their shares.

    Args:
        groups: for each the names of those that are left out with it.
    """
    bits = falls.mean(0).sum(-1)
    return tuple(
        Suspect(
            names[i], tuple(groups[i]), float(unexplained[i]), float(bits[i]), float(shares.share[i]),
            float(shares.low[i]), float(shares.high[i]),
        )
        for i in np.argsort(-shares.share, kind="stable")
    )  # fmt: skip


def _shares(bits: Falls) -> Falls:
    """[draws, suspects] bits -> shares of what there is; of nothing nobody has one."""
    given = np.maximum(bits, 0.0)
    return np.asarray(given / np.maximum(given.sum(1, keepdims=True), 1e-9))
