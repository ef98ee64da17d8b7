"""The guarantee: no run of a recording's codes longer than was allowed, exact by construction.

A run counts where the coarsest codes agree, so that sounds which differ from a recording in finer levels only are runs as
well. One of n + 1 positions is forbidden where a recording has it. Whether the next code would complete one depends on the n
positions before it alone, so all that may follow each stretch of n is looked up by its hash (rolling: Karp and Rabin, 1987),
in constant time. Two stretches that share a hash by accident forbid a code too many, never one too few.
"""

from collections import deque
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import BANDS

BASE = 0x9E3779B97F4A7C15
MASK = 2**64 - 1
NOTHING: frozenset[int] = frozenset()

Codes = npt.NDArray[np.integer]


class RunLimit:
    """Which codes may not come next, for any number of sounds."""

    def __init__(self, recordings: Sequence[Codes], longest: int, silent: Sequence[Collection[int]] = ()) -> None:
        """
        Args:
            recordings: the coarsest codes [S] of each.
            longest: positions that a run may have.
            silent: for each band the codes that stand for silence: silence alone is no run.

        Raises:
            ValueError: fewer positions than a column has.
        """
        if longest < BANDS:
            raise ValueError(f"a run may have {longest} positions: allow a column, {BANDS}, at least")
        self.longest = longest
        self.highest = pow(BASE, longest - 1, MASK + 1)
        found: dict[int, set[int]] = {}
        for codes in recordings:
            if len(codes) <= longest:
                continue
            bands = np.arange(len(codes)) % BANDS
            heard = np.ones(len(codes), dtype=bool)
            for band, quiet in enumerate(silent):
                heard &= ~((bands == band) & np.isin(codes, list(quiet)))
            counts = _any_of(heard, longest + 1)
            keys = _rolling(_symbols(bands, codes), longest)[: len(codes) - longest]
            for key, code in zip(keys[counts].tolist(), codes[longest:][counts].tolist(), strict=True):
                found.setdefault(key, set()).add(code)
        self.after = {key: frozenset(codes) for key, codes in found.items()}

    @property
    def most_forbidden(self) -> int:
        """How many codes it forbids at one place, at most."""
        return max(map(len, self.after.values()), default=0)


class SoundUnderLimit:
    """One sound that is being made: its last positions."""

    def __init__(self, limit: RunLimit) -> None:
        self.limit = limit
        self._band = 0
        self._hash = 0
        self._last: deque[int] = deque()

    def forbidden(self) -> frozenset[int]:
        """Codes that would complete a run of a recording, as the coarsest code of the next position."""
        return self.limit.after.get(self._hash, NOTHING) if len(self._last) == self.limit.longest else NOTHING

    def feed(self, code: int | None) -> None:
        """The coarsest code that the next position has got; None: it is given, not made, and runs begin anew behind it."""
        if code is None:
            self._cut((self._band + 1) % BANDS)
            return
        symbol = _symbol(self._band, code)
        if len(self._last) == self.limit.longest:
            self._hash = (self._hash - self._last.popleft() * self.limit.highest) & MASK
        self._hash = (self._hash * BASE + symbol) & MASK
        self._last.append(symbol)
        self._band = (self._band + 1) % BANDS

    def pass_over(self) -> None:
        """Whole columns are given: runs begin anew behind them."""
        self._cut(0)

    def _cut(self, band: int) -> None:
        self._hash, self._band = 0, band
        self._last.clear()


def _symbol(band: int, code: int) -> int:
    """One number for a code and its band (splitmix64)."""
    mixed = (code * BANDS + band + 1) * BASE & MASK
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & MASK
    return mixed ^ (mixed >> 31)


def _symbols(bands: Codes, codes: Codes) -> npt.NDArray[np.uint64]:
    """`_symbol` of many."""
    mixed = (codes.astype(np.uint64) * np.uint64(BANDS) + bands.astype(np.uint64) + np.uint64(1)) * np.uint64(BASE)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _rolling(symbols: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """[S] -> [S - length + 1]: for each stretch the sum of its symbols times falling powers of BASE, modulo 2^64."""
    hashes = np.zeros(len(symbols) - length + 1, dtype=np.uint64)
    for offset in range(length):
        hashes = hashes * np.uint64(BASE) + symbols[offset : offset + len(hashes)]
    return hashes


def _any_of(heard: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """[S] -> [S - length + 1]: whether any of each stretch is to hear."""
    total = np.concatenate([[0], heard.cumsum()])
    counted: npt.NDArray[np.bool_] = total[length:] > total[:-length]
    return counted
