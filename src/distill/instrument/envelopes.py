"""Loudness that is drawn over a sound: the prior is asked for it, and what is missing is turned up or down on the mel.

Column by column would lift every rest to the loudness of a hit, so what a sound has is taken over `AROUND` columns; and what has
died away is not made loud again.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.traits import LOUDNESS, column_traits, frame_traits
from distill.settings.geometry import FRAMES_PER_COLUMN, SpectrogramConfig

AROUND = 3
"""Columns over which the loudness that a sound has is taken: half a second."""
MOST_UP_DB, MOST_DOWN_DB = 24.0, 48.0


def following(mel: Tensor, wished: Tensor, spectrogram: SpectrogramConfig) -> Tensor:
    """A whole sound's mel [M, T] dB, as loud in each column as wished [C], in dB over its mean, as far as may be."""
    count = -(-mel.shape[1] // FRAMES_PER_COLUMN)
    if not count:
        return mel
    frames = frame_traits(mel.T, np.zeros(0, np.float32), spectrogram)
    power = 10.0 ** (column_traits(frames, count)[:, LOUDNESS].double() / 10.0)
    around = F.avg_pool1d(power[None], AROUND, 1, AROUND // 2, count_include_pad=False)[0]
    has = 10.0 * (around / around.mean()).clamp_min(1e-12).log10()
    return faded(mel, _of_columns(wished, count) - has.float(), 0, spectrogram.floor_db)


def faded(mel: Tensor, gains_db: Tensor, first: int, floor_db: float) -> Tensor:
    """A mel [M, T] dB that begins at frame `first` of a sound, turned up or down by gains [C], one in the middle of each column
    of the sound."""
    places = (torch.arange(first, first + mel.shape[1]) + 0.5).numpy() / FRAMES_PER_COLUMN - 0.5
    gains = gains_db.clamp(-MOST_DOWN_DB, MOST_UP_DB).double().numpy()
    over_frames = torch.from_numpy(np.interp(places, np.arange(len(gains)), gains)).to(mel)
    return (mel + over_frames).clamp_min(floor_db)


def _of_columns(wished: Tensor, count: int) -> Tensor:
    """[C] for another number of columns: its last value goes on."""
    return wished[torch.arange(count).clamp_max(len(wished) - 1)]
