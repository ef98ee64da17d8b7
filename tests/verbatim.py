"""The slow oracle of everything that is about verbatim runs of codes."""

import numpy as np
import numpy.typing as npt

from distill.settings.geometry import BANDS

Codes = npt.NDArray[np.integer]


def longest_common_run(sound: Codes, recordings: list[Codes], levels: int) -> int:
    """By trying every pair of positions of the same band."""
    best = 0
    for recording in recordings:
        for here in range(len(sound)):
            for there in range(here % BANDS, len(recording), BANDS):
                run = 0
                while (
                    here + run < len(sound)
                    and there + run < len(recording)
                    and (sound[here + run, :levels] == recording[there + run, :levels]).all()
                ):
                    run += 1
                best = max(best, run)
    return best
