"""What the test can see here: copies are put among the recordings, and those that are found are counted."""

from collections.abc import Sequence

import numpy as np
import torch

from distill.models.codec import ConvVQVAE
from distill.models.encoding import encode_codes
from distill.novelty.measuring import Judged, Known, Yardstick
from distill.novelty.sounds import WIDE_DB, as_decoded
from distill.settings.geometry import FRAMES_PER_COLUMN

PLANTED = 32
LATER_FRAMES = FRAMES_PER_COLUMN // 2
"""By how much each planted copy begins later: as far from the columns of its source as it can be."""
CHANCE = 0.05


def power_of(codec: ConvVQVAE, yardstick: Yardstick, train: Sequence[Known]) -> float:
    """Share of copies that stand out each by itself: training files, by turns their codes as they are, and begun half a
    column later and encoded anew, which is as unlike the kept codes as a copy can be."""
    chosen = [train[i] for i in np.unique(np.linspace(0, len(train) - 1, min(PLANTED, len(train))).astype(int))]
    device = codec.typical_level_db.device
    planted = []
    for number, known in enumerate(chosen):
        source = known.wide[0]
        if number % 2:
            planted.append(Judged(known.name, source, known.codes))
            continue
        late = torch.cat([torch.full((LATER_FRAMES, source.shape[1]), -WIDE_DB), source])
        codes = encode_codes(codec, late.numpy(), 0.0, device).cpu()
        planted.append(Judged(known.name, as_decoded(codec, codes, len(late), WIDE_DB), codes))
    found = [each.p <= CHANCE for each in yardstick.measure(planted)]
    return float(np.mean(found))
