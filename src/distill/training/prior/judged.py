"""How much of a corpus a prior is judged by: enough to choose epochs and sizes, whatever there is."""

from collections.abc import Sequence

from torch import Tensor

JUDGED_POSITIONS = 24_000
"""Positions (8.5 minutes) that every epoch is judged by, about, where there are more."""
LEAST_FILES = 8
"""No file is more than this part of them."""


def judged_by(sequences: Sequence[Tensor], bands: int, most: int = JUDGED_POSITIONS) -> tuple[Tensor, ...]:
    """Sequences of codes [S, Q] with about `most` positions at most, the same each time.

    Where there are more, files evenly spread over all, and of those that are very long the beginning.
    """
    if sum(map(len, sequences)) <= most:
        return tuple(sequences)
    longest = most // LEAST_FILES // bands * bands
    cut = [codes[:longest] for codes in sequences]
    count = min(len(cut), max(1, int(most * len(cut) / sum(map(len, cut)))))
    return tuple(cut[place * len(cut) // count] for place in range(count))
