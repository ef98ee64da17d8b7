"""What a sound is like, in numbers: how loud, how bright, which pitch, how many onsets; frame by frame, by column, as a whole.

Loudness and brightness are read from the log-mel that the program has of every sound, pitch from the samples (YIN), onsets
are rises of the log-mel over what its neighbours were a moment before (Böck & Widmer, "Maximum filter vibrato suppression
for onset detection", DAFx 2013). Pitch, brightness and onsets do not depend on how loud a sound is.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy import ndimage
from torch import Tensor

from distill.audio.mel import hz_to_mel, log_mel_of, mel_to_hz
from distill.audio.pitch import AUDIBLE_DB as PITCH_RANGE_DB
from distill.audio.pitch import pitch_track
from distill.settings.geometry import FRAMES_PER_COLUMN, SAMPLE_RATE, SpectrogramConfig

TRAITS = ("loudness", "brightness", "pitch", "onsets")
"""The columns of what `frame_traits` and `column_traits` give."""
LOUDNESS, BRIGHTNESS, PITCH, ONSETS = range(len(TRAITS))

SILENT_DB = -80.0
"""A frame softer than this is silent, whatever the sound."""
AUDIBLE_DB = 60.0
"""A frame that is softer than the sound's loudest by more than this is silent, a band beside the loudest one of its frame."""

FLOOR_DB = -100.0
LEAST_POWER = 1e-10
"""What silence counts as."""
RAYLEIGH = np.pi / 4
"""The squared mean of the magnitudes of noise over the mean of their squares."""
K_FILTERS = (
    ((1.53512485958697, -2.69169618940638, 1.19839281085285), (-1.69065929318241, 0.73248077421585)),
    ((1.0, -2.0, 1.0), (-1.99004745483398, 0.99007225036621)),
)

PITCH_RATE = SAMPLE_RATE // 2
PITCH_EVERY = 2
"""Pitch is found at every second frame (21 ms), at half the sample rate: a quarter of the work."""
HIGHEST_HZ = 4_500.0
"""Over the highest note of a piano."""
PITCH_BLOCK_FRAMES, PITCH_MARGIN_FRAMES = 2_048, 4
"""Such frames of a long sound that are looked at at a time (44 s), with so many around."""
VOICED_SHARE = 0.5
"""A column, or a sound, has a pitch where at least this share of its audible frames has one: those that are not softer than
its loudest by more than PITCH_RANGE_DB, since nobody hears which note a tail dies away on."""

RISE_LAG = 2
"""Frames over which a rise is measured: half a window is new."""
RISE_DB, MEDIAN_SHARE, MEDIAN_FRAMES = 1.0, 1.75, 33
"""An onset rises by RISE_DB in the mean over bands, and more by so much of the median rise around it."""
PEAK_FRAMES = 3
"""An onset is the largest rise within so many frames on both sides."""

Samples = npt.NDArray[np.floating]


class SoundTraits(NamedTuple):
    """What a whole sound is like."""

    loudness: float
    """dB, as `frame_traits`."""
    brightness: float | None
    """log2 of Hz; None: silence."""
    pitch: float | None
    """MIDI note number; None where most of it has none."""
    onsets: int
    seconds: float


def frame_traits(mel: Tensor, samples: Samples, spectrogram: SpectrogramConfig) -> Tensor:
    """What each frame of a whole sound is like: [T, 4] float32, in the order of `TRAITS`, on the CPU.

    Args:
        mel: [T, M] log-mel in dB, as `Corpus.mel` has it: of the sound as loud as it is.
        samples: [N] at 48 kHz; their gain does not count.
        spectrogram: what the mel was made with.

    Returns:
        loudness: K-weighted power in dB (ITU-R BS.1770), about -2 for a full-scale sine of 1 kHz, -100 for silence.
        brightness: log2 of the spectral centroid in Hz, each band by its amplitude; NaN where there is silence.
        pitch: MIDI note number, 69 is 440 Hz; NaN where there is none.
        onsets: how much the spectrum rises, dB, mean over bands.
    """
    decibels = mel.detach().float().cpu()
    bands = bands_of(spectrogram)
    power = 10.0 ** (decibels / 10.0) * bands.power  # [T, M]
    total = power.sum(1)
    loudness = 10.0 * (power @ bands.k_weight).clamp_min(1e-15).log10()
    level = 10.0 * total.clamp_min(1e-15).log10()
    sounding = level > max(float(level.max()) - AUDIBLE_DB, SILENT_DB) if len(level) else level > 0
    nothing = torch.tensor(torch.nan)
    amplitude = power.sqrt() * (decibels > decibels.amax(1, keepdim=True) - AUDIBLE_DB)
    brightness = torch.where(sounding, ((amplitude @ bands.hz) / amplitude.sum(1).clamp_min(1e-9)).log2(), nothing)
    pitch = torch.where(sounding, _pitch(samples, len(decibels), spectrogram), nothing)
    return torch.stack([loudness, brightness, pitch, rises(decibels)], dim=1)


def column_traits(frames: Tensor, columns: int, frames_per_column: int = FRAMES_PER_COLUMN) -> Tensor:
    """What each column of a sound is like: [T, 4] of `frame_traits`, of the whole sound -> [C, 4].

    Loudness is the mean of the power, brightness its mean weighted by power, pitch the median of the frames that have one
    where at least half of the audible frames have, onsets how many begin there. Columns without a frame are silence.
    """
    filled = frames.new_full((columns * frames_per_column, len(TRAITS)), torch.nan)
    filled[: len(frames)] = frames[: len(filled)]
    begun = torch.zeros(len(filled))
    places = onset_frames(frames)
    begun[places[places < len(begun)]] = 1.0
    parts = filled.view(columns, frames_per_column, len(TRAITS))
    onsets = begun.view(columns, frames_per_column).sum(1)
    return torch.stack([_loudness(parts), _brightness(parts), _median_pitch(parts), onsets], dim=1)


def sound_traits(
    samples: Samples, rate: int = SAMPLE_RATE, spectrogram: SpectrogramConfig | None = None
) -> SoundTraits:
    """What a whole sound is like: samples [N] or [channels, N], full scale 1."""
    chosen = spectrogram or SpectrogramConfig()
    mono = np.asarray(samples, dtype=np.float32)
    mono = mono if mono.ndim == 1 else mono.mean(axis=0)
    seconds = len(mono) / rate
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    if not len(mono):
        return SoundTraits(FLOOR_DB, None, None, 0, seconds)
    mel = log_mel_of(mono, chosen).T
    return traits_of(frame_traits(mel, mono, chosen), seconds)


def traits_of(frames: Tensor, seconds: float) -> SoundTraits:
    """What a whole sound is like, of its frames [T, 4]: as `sound_traits`, for a sound whose frames are there."""
    brightness, pitch = float(_brightness(frames)), float(_median_pitch(frames))
    return SoundTraits(
        float(_loudness(frames)),
        None if np.isnan(brightness) else brightness,
        None if np.isnan(pitch) else pitch,
        len(onset_frames(frames)),
        seconds,
    )


def sounding_seconds(frames: Tensor, spectrogram: SpectrogramConfig) -> float:
    """How long it is until a sound has sunk into silence for good: of its frames [T, 4], in seconds."""
    places = (~frames[:, BRIGHTNESS].isnan()).nonzero()
    return spectrogram.seconds(int(places[-1]) + 1) if len(places) else 0.0


def onset_frames(frames: Tensor) -> Tensor:
    """The frames at which sounds begin, in order: [T, 4] of `frame_traits` -> [n]."""
    rise = frames[:, ONSETS].numpy()
    if not len(rise):
        return torch.zeros(0, dtype=torch.long)
    usual = ndimage.median_filter(rise, MEDIAN_FRAMES, mode="constant")
    highest = ndimage.maximum_filter1d(rise, 2 * PEAK_FRAMES + 1, mode="constant")
    peaks = np.flatnonzero((rise >= highest) & (rise >= MEDIAN_SHARE * usual + RISE_DB))
    apart = np.diff(peaks, prepend=-PEAK_FRAMES - 1) > PEAK_FRAMES  # two frames may be equally high
    return torch.from_numpy(peaks[apart])


def _loudness(frames: Tensor) -> Tensor:
    """The mean power of frames [..., T, 4] in dB, [...]; of none, silence."""
    power = 10.0 ** (frames[..., LOUDNESS] / 10.0)
    return 10.0 * power.nanmean(-1).nan_to_num(0.0).clamp_min(LEAST_POWER).log10()


def _brightness(frames: Tensor) -> Tensor:
    """The mean brightness of frames [..., T, 4], weighted by power, [...]; NaN where all are silent."""
    weight = 10.0 ** (frames[..., LOUDNESS] / 10.0)
    weight = torch.where(frames[..., BRIGHTNESS].isnan(), 0.0, weight)
    return (frames[..., BRIGHTNESS].nan_to_num(0.0) * weight).sum(-1) / weight.sum(-1)


def _median_pitch(frames: Tensor) -> Tensor:
    """The median pitch of frames [..., T, 4], [...]; NaN where fewer than half of the audible ones have one."""
    if not frames.shape[-2]:
        return frames.new_full(frames.shape[:-2], torch.nan)
    loudness = frames[..., LOUDNESS].nan_to_num(-torch.inf)
    heard = loudness > loudness.amax(-1, keepdim=True) - PITCH_RANGE_DB
    audible = (heard & ~frames[..., BRIGHTNESS].isnan()).sum(-1)
    voiced = (~frames[..., PITCH].isnan()).sum(-1)
    return torch.where(voiced >= VOICED_SHARE * audible, frames[..., PITCH].nanmedian(-1).values, torch.nan)


def rises(decibels: Tensor) -> Tensor:
    """[T, M] dB -> [T], the mean over bands of what each is louder than it and its neighbours were a moment before.

    Not in the last frames, which see where the sound is cut off.
    """
    if not len(decibels):
        return torch.zeros(0)
    floored = decibels.clamp_min(max(float(decibels.max()) - AUDIBLE_DB, SILENT_DB)).numpy()
    before = np.pad(floored, ((RISE_LAG, 0), (0, 0)), constant_values=float(floored.min()))[: len(floored)]
    before = ndimage.maximum_filter1d(before, 3, axis=1)
    rise = np.maximum(floored - before, 0.0).mean(axis=1)
    rise[max(len(rise) - RISE_LAG, RISE_LAG) :] = 0.0
    return torch.from_numpy(rise)


def _pitch(samples: Samples, frames: int, spectrogram: SpectrogramConfig) -> Tensor:
    """MIDI note number of each frame [T], NaN where there is none; found block by block, so that memory is bounded."""
    hop = spectrogram.hop_length * PITCH_EVERY
    block = PITCH_BLOCK_FRAMES * hop
    margin = PITCH_MARGIN_FRAMES * hop
    found = []
    for first in range(0, len(samples), block):
        start, stop = max(first - margin, 0), min(first + block, len(samples))
        part = np.asarray(samples[start : stop + margin], dtype=np.float32)
        halved = soxr.resample(part, SAMPLE_RATE, PITCH_RATE)
        note = pitch_track(halved, PITCH_RATE, hop / SAMPLE_RATE, HIGHEST_HZ).notes
        found.append(note[(first - start) // hop :][: -(-(stop - first) // hop)])
    notes = np.full(frames, np.nan, dtype=np.float32)
    if found:
        held = np.concatenate(found).repeat(PITCH_EVERY)[:frames]
        notes[: len(held)] = held
    return torch.from_numpy(notes)


class Bands(NamedTuple):
    """The bands of a mel."""

    hz: Tensor  # [M], centres
    power: Tensor  # [M], what a square of the mel is to be multiplied by for the power in its band
    k_weight: Tensor  # [M], of that power


@lru_cache(maxsize=4)
def bands_of(config: SpectrogramConfig) -> Bands:
    """Power, full scale 1, is the square of a mel times the width of its band, over what a Hann window makes of noise."""
    ends = hz_to_mel(config.f_min_hz), hz_to_mel(config.f_max_hz)
    edges = mel_to_hz(np.linspace(*ends, config.n_mels + 2))
    bin_hz = config.sample_rate / config.n_fft
    window = 0.375 * config.n_fft
    power = (edges[2:] - edges[:-2]) / 2.0 * bin_hz**2 / (RAYLEIGH * window * config.sample_rate / 2.0)
    hz = edges[1:-1]
    return Bands(*(torch.from_numpy(each).float() for each in (hz, power, k_weighting(hz))))


def k_weighting(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The gain of power at frequencies [n] in Hz by ITU-R BS.1770-4's two filters (a shelf and a high-pass), at 48 kHz."""
    z = np.exp(-2j * np.pi * np.asarray(hz) / 48_000.0)
    gain = np.ones(len(z), dtype=complex)
    for (b0, b1, b2), (a1, a2) in K_FILTERS:
        gain *= (b0 + b1 * z + b2 * z * z) / (1.0 + a1 * z + a2 * z * z)
    return np.abs(gain) ** 2
