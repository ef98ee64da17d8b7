"""While a prior is trained: how much of what it would make is a recording's to the letter.

A few sounds, sampled every few epochs, always of the same seeds. A run of the coarsest codes that is longer than all but one
in twenty of the unseen recordings' own is one too many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distill.models.canvas import open_canvas
from distill.models.codec import ConvVQVAE
from distill.models.filling import fill
from distill.models.prior import CodePrior
from distill.models.sampling import clip_generator
from distill.novelty.runs import KnownCodes
from distill.novelty.sounds import as_decoded, loud_columns
from distill.settings.geometry import BANDS

SOUNDS = 16
COLUMNS = 6
"""Each sound is a second long at most."""
UNSEEN = 48
"""Stretches of unseen recordings that tell how long a run is by chance, at most; and the fewest that can tell."""
LEAST_UNSEEN = 8
BY_CHANCE = 0.05


@dataclass(frozen=True)
class CopyWatch:
    """What sounds are compared with: the recordings that are learned from."""

    codec: ConvVQVAE
    known: KnownCodes
    by_chance: int
    """Positions of a run that unseen recordings have as well."""

    @classmethod
    def of(cls, codec: ConvVQVAE, train: Sequence[Tensor], unseen: Sequence[Tensor]) -> "CopyWatch | None":
        """Of codes [S, Q] of the recordings that are learned from and of held-out ones; None: there are too few of these."""
        columns = COLUMNS * BANDS
        parts = [codes[first : first + columns] for codes in unseen for first in range(0, len(codes), columns)]
        parts = [parts[place * len(parts) // min(len(parts), UNSEEN)] for place in range(min(len(parts), UNSEEN))]
        if len(parts) < LEAST_UNSEEN or not train:
            return None
        known = KnownCodes([codes.numpy() for codes in train], range(len(train)))
        runs = [cls(codec, known, 0).run(part) for part in parts]
        return cls(codec, known, int(np.quantile(runs, 1.0 - BY_CHANCE, method="higher")))

    def run(self, codes: Tensor) -> int:
        """Positions of the longest run that a sound [S, Q] shares with a recording, silence left out."""
        loud = loud_columns(as_decoded(self.codec, codes), len(codes) // BANDS)
        return self.known.longest(codes.numpy(), loud.numpy(), 1).positions

    def copied(self, prior: CodePrior) -> float:
        """Share of a few new sounds that have a longer run than unseen recordings have."""
        canvases = [open_canvas(COLUMNS, BANDS, prior.config.rvq_levels, "asked") for _ in range(SOUNDS)]
        filling = fill(prior, canvases, [clip_generator(seed) for seed in range(SOUNDS)])
        while True:
            try:
                next(filling)
            except StopIteration as end:
                made = [each.codes.cpu() for each in end.value if len(each.codes)]
                break
        over = [self.run(codes) > max(self.by_chance, BANDS) for codes in made]
        return float(torch.tensor(over).float().mean()) if over else 0.0
