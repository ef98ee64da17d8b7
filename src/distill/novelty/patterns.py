"""Which recordings share the rarer patterns of a sound's codes: a prior learns codes, whatever they sound like.

A pattern is a code of one band, or two that follow each other in time, lie above each other, or are the two coarsest of one
position. Each counts by how few recordings have it (Spärck Jones, 1972), and long recordings, which have many, count less.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import BANDS

Codes = npt.NDArray[np.integer]


def patterns(codes: Codes) -> set[tuple[int, ...]]:
    """Of codes [S, Q], S whole columns: all patterns that occur in them."""
    grid = np.asarray(codes).reshape(-1, BANDS, codes.shape[1])
    coarse, bands = grid[..., 0], np.broadcast_to(np.arange(BANDS), grid.shape[:2])
    pairs = [
        (bands, coarse, coarse),
        (bands[1:], coarse[:-1], coarse[1:]),
        (bands[:, 1:], coarse[:, :-1], coarse[:, 1:]),
    ]
    if grid.shape[2] > 1:
        pairs.append((bands, coarse, grid[..., 1]))
    return {
        (kind, *found)
        for kind, each in enumerate(pairs)
        for found in zip(*(part.reshape(-1).tolist() for part in each), strict=True)
    }


def shared(known: Sequence[Codes], codes: Codes) -> npt.NDArray[np.float64]:
    """How many bits of rare patterns each of some sounds [S', Q] has in common with one [S, Q]: [n]."""
    every = [patterns(each) for each in known]
    among = Counter(pattern for each in every for pattern in each)
    own = patterns(codes)
    bits = [sum(math.log2(len(known) / among[pattern]) for pattern in own & each) for each in every]
    return np.array(bits) / np.sqrt([max(len(each), 1) for each in every])
