"""The guarantee: no run of a recording's codes longer than was allowed, exact by construction.

A run of n + 1 positions is forbidden where a recording has it. Whether the next code would complete one depends on the n
positions before it alone, so all that may follow each stretch of n is looked up by its hash (rolling: Karp and Rabin, 1987),
in constant time. Two stretches that share a hash by accident forbid a code too many, never one too few.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import BANDS

BASE = 0x9E3779B97F4A7C15
MASK = 2**64 - 1
NOTHING: frozenset[int] = frozenset()

Codes = npt.NDArray[np.integer]


class RunLimit:
    """Which codes may not come next, for sounds that are made row by row of a batch.

    A run counts where the first `levels` of its codes agree: with 1, sounds that differ from a recording in finer levels
    only are runs as well; with all levels, only those to the letter. The first includes the second.
    """

    def __init__(
        self,
        recordings: Sequence[Codes],
        longest: int,
        levels: int = 1,
        loud: Sequence[npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        """
        Args:
            recordings: codes [S, Q] of each.
            longest: positions that a run may have.
            loud: for each recording [S / BANDS], the columns that are not silent: silence alone is no run.

        Raises:
            ValueError: fewer positions than a column has.
        """
        if longest < BANDS:
            raise ValueError(f"a run may have {longest} positions: allow a column, {BANDS}, at least")
        self.longest, self.levels = longest, levels
        self._highest = pow(BASE, longest - 1, MASK + 1)
        self._after: dict[int, frozenset[int]] = {}
        found: dict[int, set[int]] = {}
        for number, codes in enumerate(recordings):
            if len(codes) <= longest:
                continue
            symbols = _symbols(np.asarray(codes)[:, :levels])
            hashes = _rolling(symbols, longest)[: len(codes) - longest]
            below = _mixed(np.asarray(codes)[longest:, : levels - 1])
            keys = hashes ^ below
            last = np.asarray(codes)[longest:, levels - 1]
            counts = (
                np.ones(len(keys), dtype=bool) if loud is None else _sounding(np.repeat(loud[number], BANDS), longest)
            )
            for key, code in zip(keys[counts].tolist(), last[counts].tolist(), strict=True):
                found.setdefault(key, set()).add(code)
        self._after = {key: frozenset(codes) for key, codes in found.items()}
        self._rows: dict[int, _Row] = {}

    def forbidden(self, row: int, chosen: Sequence[int] = ()) -> frozenset[int]:
        """Codes that would complete a forbidden run, at level `levels` (counted from 1) of the next position of a row.

        Args:
            chosen: the codes of the levels below that one, of the same position.
        """
        if len(chosen) != self.levels - 1:
            raise ValueError(f"{len(chosen)} codes are chosen: ask when {self.levels - 1} are")
        state = self._rows.get(row)
        if state is None or len(state.last) < self.longest:
            return NOTHING
        below = int(_mixed(np.array([chosen], dtype=np.int64).reshape(1, -1))[0])
        return self._after.get(state.hash ^ below, NOTHING)

    def feed(self, row: int, codes: Sequence[int]) -> None:
        """The codes [Q] that the next position of a row has got."""
        state = self._rows.setdefault(row, _Row())
        symbol = _symbol(state.fed % BANDS, codes[: self.levels])
        if len(state.last) == self.longest:
            state.hash = (state.hash - state.last.popleft() * self._highest) & MASK
        state.hash = (state.hash * BASE + symbol) & MASK
        state.last.append(symbol)
        state.fed += 1

    def forget(self, row: int) -> None:
        """Begin a new sound in a row: the next position is its first."""
        self._rows.pop(row, None)


class _Row:
    """The last positions of one sound."""

    def __init__(self) -> None:
        self.hash = 0
        self.fed = 0
        self.last: deque[int] = deque()


def _symbol(band: int, codes: Sequence[int]) -> int:
    return int(_mixed(np.array([[band, *codes]], dtype=np.int64))[0])


def _symbols(codes: Codes) -> npt.NDArray[np.uint64]:
    """[S, L] -> one number for each position and its band, [S]."""
    band = np.arange(len(codes)) % BANDS
    return _mixed(np.concatenate([band[:, None], codes], axis=1))


def _mixed(values: Codes) -> npt.NDArray[np.uint64]:
    """[S, L] -> [S] hashes (splitmix64, one round for each value)."""
    mixed = np.full(len(values), BASE, dtype=np.uint64)
    for column in np.asarray(values).astype(np.uint64).T:
        mixed = (mixed ^ column) + np.uint64(BASE)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _rolling(symbols: npt.NDArray[np.uint64], length: int) -> npt.NDArray[np.uint64]:
    """[S] -> [S - length + 1]: for each stretch the sum of its symbols times falling powers of BASE, modulo 2^64."""
    hashes = np.zeros(len(symbols) - length + 1, dtype=np.uint64)
    for offset in range(length):
        hashes = hashes * np.uint64(BASE) + symbols[offset : offset + len(hashes)]
    return hashes


def _sounding(loud: npt.NDArray[np.bool_], longest: int) -> npt.NDArray[np.bool_]:
    """[S] -> [S - longest]: whether anything is to hear in each stretch of longest + 1 positions."""
    total = np.concatenate([[0], loud.cumsum()])
    counted: npt.NDArray[np.bool_] = total[longest + 1 :] > total[: -longest - 1]
    return counted
