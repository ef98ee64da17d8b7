"""Loudness and brightness that are drawn over a sound, or those of a guide: the prior is asked for them, and what is missing is
done to the mel.

Column by column would lift every rest to the loudness of a hit, so what a sound has is taken over `AROUND` columns; and what has
died away is not made loud again. Brightness is tilted, as loud as before.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.traits import AUDIBLE_DB, LOUDNESS, bands_of, column_traits, frame_traits
from distill.settings.geometry import FRAMES_PER_COLUMN, SpectrogramConfig

AROUND = 3
"""Columns over which the loudness that a sound has is taken: half a second."""
MOST_UP_DB, MOST_DOWN_DB = 24.0, 48.0
MOST_TILT, MOST_TILTED_DB = 12.0, 24.0
"""Decibels an octave, and of a band: beyond that noise is heard where nothing was."""
SILENT_RANGE_DB = 10.0
"""A column whose loudest band is no farther over the floor is silent, and stays so."""
HALVINGS = 16


def following(mel: Tensor, wished: Tensor, spectrogram: SpectrogramConfig) -> Tensor:
    """A whole sound's mel [M, T] dB, as loud in each column as wished [C], in dB over its mean, as far as may be."""
    count = -(-mel.shape[1] // FRAMES_PER_COLUMN)
    if not count:
        return mel
    frames = frame_traits(mel.T, np.zeros(0, np.float32), spectrogram)
    power = 10.0 ** (column_traits(frames, count)[:, LOUDNESS].double() / 10.0)
    around = F.avg_pool1d(power[None], AROUND, 1, AROUND // 2, count_include_pad=False)[0]
    has = _over_mean(around)
    return faded(mel, _of_columns(wished, count) - has.float(), 0, spectrogram.floor_db)


def guide_levels(mel: Tensor, spectrogram: SpectrogramConfig) -> Tensor:
    """A guide's mel [M, T] dB -> [T] dB, how loud each frame is over the mean; what is inaudible is all as soft."""
    loudness = frame_traits(mel.T, np.zeros(0, np.float32), spectrogram)[:, LOUDNESS].double()
    heard = loudness.clamp_min(float(loudness.max()) - AUDIBLE_DB) if len(loudness) else loudness
    return _over_mean(10.0 ** (heard / 10.0))


def as_guided(mel: Tensor, levels: Tensor, share: float, spectrogram: SpectrogramConfig) -> Tensor:
    """A whole sound's mel [M, T] dB, in each frame nearer to as loud as a guide [T'] is there, in dB over its mean, by a share
    of the decibels between them."""
    count = min(mel.shape[1], len(levels))
    if not count or not share:
        return mel
    loudness = frame_traits(mel.T, np.zeros(0, np.float32), spectrogram)[:, LOUDNESS].double()
    has = _over_mean(10.0 ** (loudness / 10.0))
    gains = F.pad(share * (levels[:count] - has[:count]), (0, mel.shape[1] - count))
    return (mel + gains.clamp(-MOST_DOWN_DB, MOST_UP_DB).to(mel)).clamp_min(spectrogram.floor_db)


def _over_mean(power: Tensor) -> Tensor:
    """Power [T] -> [T] dB over its mean."""
    return 10.0 * (power / power.mean()).clamp_min(1e-12).log10()


def brightened(mel: Tensor, wished: Tensor, spectrogram: SpectrogramConfig) -> Tensor:
    """A whole sound's mel [M, T] dB, tilted so that each column is as bright as wished [C], log2 of Hz, as far as may be."""
    count = -(-mel.shape[1] // FRAMES_PER_COLUMN)
    if not count:
        return mel
    bands = bands_of(spectrogram)
    octaves, weight = bands.hz.double().log2(), bands.power.double()  # [M]
    power = F.pad(10.0 ** (mel.double() / 10.0), (0, count * FRAMES_PER_COLUMN - mel.shape[1]))
    power = power.view(len(mel), count, FRAMES_PER_COLUMN).mean(-1).T  # [C, M]
    loudest, power = power.amax(1), power * weight
    power = power * (power > power.amax(1, keepdim=True) * 10.0 ** (-AUDIBLE_DB / 10.0))
    wanted = _of_columns(wished, count).double()
    low, high = torch.full((count,), -MOST_TILT).double(), torch.full((count,), MOST_TILT).double()
    for _ in range(HALVINGS):  # the steeper, the brighter
        middle = (low + high) / 2.0
        gains = _tilted_db(middle[:, None], octaves, wanted[:, None])
        amplitude = power.sqrt() * 10.0 ** (gains / 20.0)
        has = ((amplitude * 2.0**octaves).sum(1) / amplitude.sum(1).clamp_min(1e-9)).clamp_min(1.0).log2()
        low, high = torch.where(has < wanted, middle, low), torch.where(has < wanted, high, middle)
    heard = (loudest > 10.0 ** ((spectrogram.floor_db + SILENT_RANGE_DB) / 10.0)).double()
    tilt, pivot = (over_frames(each, 0, mel.shape[1]) for each in (low * heard, wanted))
    changed = mel + _tilted_db(tilt, octaves[:, None], pivot).to(mel)
    before, after = (10.0 * (weight @ 10.0 ** (each.double() / 10.0)).log10() for each in (mel, changed))
    return (changed + (before - after).to(mel)).clamp_min(spectrogram.floor_db)


def _tilted_db(tilt: Tensor, octaves: Tensor, pivot: Tensor) -> Tensor:
    return (tilt * (octaves - pivot)).clamp(-MOST_TILTED_DB, MOST_TILTED_DB)


def faded(mel: Tensor, gains_db: Tensor, first: int, floor_db: float) -> Tensor:
    """A mel [M, T] dB that begins at frame `first` of a sound, turned up or down by gains [C], one in the middle of each column
    of the sound."""
    gains = gains_db.clamp(-MOST_DOWN_DB, MOST_UP_DB)
    return (mel + over_frames(gains, first, mel.shape[1]).to(mel)).clamp_min(floor_db)


def over_frames(values: Tensor, first: int, count: int) -> Tensor:
    """Values [C], one in the middle of each column of a sound, at `count` of its frames from `first` on."""
    places = (np.arange(first, first + count) + 0.5) / FRAMES_PER_COLUMN - 0.5
    return torch.from_numpy(np.interp(places, np.arange(len(values)), values.double().numpy()))


def _of_columns(wished: Tensor, count: int) -> Tensor:
    """[C] for another number of columns: its last value goes on."""
    return wished[torch.arange(count).clamp_max(len(wished) - 1)]
