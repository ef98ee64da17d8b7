"""How much of a sound is a recording to the letter: runs of codes that are the same, one position after the other.

Sounds are compared at every lag of whole columns, which is where a position means the same. Silence is no match.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import BANDS

LONG_COLUMNS = 2
"""Runs of this many columns (0.34 s) or more count as covered by the corpus."""
LAGS_AT_ONCE = 2048

Codes = npt.NDArray[np.integer]
Truths = npt.NDArray[np.bool_]


class Run(NamedTuple):
    """The longest stretch of one sound that is a stretch of a known one, code by code."""

    positions: int
    sound: int
    """Number of the known sound."""
    known_position: int
    position: int
    covered: float
    """Share of the sound that lies in runs of `LONG_COLUMNS` or more, of one lag or another."""
    aligned: float
    """Share of the sound that is the same at the best single lag."""


NO_RUN = Run(0, 0, 0, 0, 0.0, 0.0)


class KnownCodes:
    """The codes of the sounds that a model has learned from."""

    def __init__(self, sounds: Sequence[Codes], groups: Sequence[int]) -> None:
        """`sounds`: [S, Q] each, S whole columns."""
        lengths = [len(each) // BANDS for each in sounds]
        self.codes = np.concatenate(sounds).astype(np.int16).reshape(-1, BANDS, sounds[0].shape[1])  # [C, BANDS, Q]
        self.owner = np.repeat(np.arange(len(sounds)), lengths)  # [C]
        self.groups = np.asarray(groups)[self.owner]
        self.first = np.cumsum([0, *lengths])[:-1]

    def longest(self, codes: Codes, loud: Truths, levels: int, group: int = -1) -> Run:
        """The longest run of a sound [S, Q] that agrees in the first `levels`.

        Args:
            loud: [S / BANDS], the columns that are not silent.
            group: known sounds of this group are left out.
        """
        mine = np.asarray(codes).astype(np.int16).reshape(-1, BANDS, codes.shape[1])[:, :, :levels]
        columns, total = len(mine), len(self.codes)
        if not loud.any():
            return NO_RUN
        best, aligned = NO_RUN, 0.0
        covered = np.zeros(columns * BANDS, dtype=bool)
        sounding = BANDS * int(loud.sum())
        for first in range(1 - columns, total, LAGS_AT_ONCE):
            lags = np.arange(first, min(first + LAGS_AT_ONCE, total))
            at = lags[:, None] + np.arange(columns)  # [L, C]: the known column that meets each
            inside = (at >= 0) & (at < total)
            at = at.clip(0, total - 1)
            allowed = inside & loud & (self.groups[at] != group)
            alike = (self.codes[at][..., :levels] == mine).all(-1) & allowed[..., None]
            new = np.diff(self.owner[at], axis=1, prepend=-1) != 0  # another sound begins: no run goes on into it
            length = _run_lengths(alike.reshape(len(lags), -1), np.repeat(new, BANDS, axis=1))
            aligned = max(aligned, int(alike.sum((1, 2)).max()) / sounding)
            ends = length.argmax()
            lag, end = divmod(int(ends), length.shape[1])
            if length[lag, end] > best.positions:
                found = int(length[lag, end])
                column = int(at[lag, end // BANDS])
                owner = int(self.owner[column])
                known = (column - int(self.first[owner])) * BANDS + end % BANDS - found + 1
                best = Run(found, owner, known, end - found + 1, 0.0, 0.0)
            covered |= _covered(length, LONG_COLUMNS * BANDS)
        return best._replace(covered=float(covered.sum()) / sounding, aligned=aligned)


def _run_lengths(alike: Truths, new: Truths) -> npt.NDArray[np.int32]:
    """[L, S] -> how many positions on end are alike up to each; `new`: where a run cannot go on from before."""
    place = np.arange(1, alike.shape[1] + 1, dtype=np.int32)
    starts = new.copy()
    starts[:, 1:] &= np.arange(1, alike.shape[1]) % BANDS == 0
    broken = np.where(~alike, place, np.where(starts, place - 1, 0))
    return np.where(alike, place - np.maximum.accumulate(broken, axis=1), 0).astype(np.int32)


def _covered(length: npt.NDArray[np.int32], least: int) -> Truths:
    """[L, S] run lengths -> [S], whether each position lies in a run of at least `least`."""
    covered = np.zeros(length.shape[1], dtype=bool)
    ends = np.flatnonzero((length >= least).any(0))
    for end in ends:
        covered[end - int(length[:, end].max()) + 1 : end + 1] = True
    return covered
