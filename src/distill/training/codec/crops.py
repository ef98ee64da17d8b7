"""Crops to train the codec on: drawn from the corpus without end, each a little different every time."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from distill.audio.mel import log_mel_unpadded
from distill.corpus.manifest import CorpusFile
from distill.corpus.sounds import Corpus
from distill.models.codec import FLOOR_DB
from distill.models.encoding import level_of
from distill.settings.geometry import FRAMES_PER_COLUMN, SAMPLE_RATE

SEMITONES = 2.0
"""A crop is played up to this much higher and faster, or lower and slower."""
UNCHANGED_SHARE = 0.2
"""Crops at their own pitch, which also begin where a column begins, as in whole files."""
TILT_DB = 4.0
GAIN_DB = 3.0
MIXED_SHARE = 0.3
"""Crops that another crop of the batch, up to 20 dB softer, is added to."""
MIX_DB = 20.0
LOUDEST_DB = 12.0
SHORTEST_FRAMES = 24
"""Files shorter than this are drawn as if they had this length."""
LEAST_FRAMES = 4


class CropBatch(NamedTuple):
    """Crops and how much of each is sound."""

    mel: Tensor  # [B, 1, M, T] dB under the file's level
    frames: Tensor  # [B]


class CropSource:
    """Draws crops from the training files: a file in proportion to the square root of its length, a place at random.

    The square root lies between what a listener compares (files) and what a corpus holds (seconds), so neither a long
    drone nor a hundred clicks dominate the codec.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.config = corpus.spectrogram
        self.files = corpus.manifest.train
        self.levels = [level_of(corpus.mel(file)) for file in self.files]
        weights = np.sqrt([max(self.config.frames(file.samples), SHORTEST_FRAMES) for file in self.files])
        self.chances = weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> CropBatch:
        """`count` crops, augmented."""
        chosen = rng.choice(len(self.files), count, p=self.chances)
        cut = [self._cut(self.files[i], rng) for i in chosen]
        mel = log_mel_unpadded(torch.from_numpy(np.stack([samples for samples, _ in cut])), self.config)
        levels = torch.tensor([self.levels[i] for i in chosen])[:, None, None]
        return CropBatch(augment(mel - levels, rng)[:, None], torch.tensor([frames for _, frames in cut]))

    def _cut(self, file: CorpusFile, rng: np.random.Generator) -> tuple[npt.NDArray[np.float32], int]:
        """A crop with the margins its spectrogram needs -> (samples [(T - 1) * hop + n_fft], frames of sound)."""
        hop, half, length = self.config.hop_length, self.config.n_fft // 2, self.config.crop_frames
        unchanged = rng.random() < UNCHANGED_SHARE
        ratio = 1.0 if unchanged else 2.0 ** (rng.uniform(-SEMITONES, SEMITONES) / 12.0)
        total = math.ceil(file.samples / (hop * ratio))  # frames of the whole sound at this speed
        first = self._first_frame(total, unchanged, rng)
        wanted = (length - 1) * hop + 2 * half
        start = round((first * hop - half) * ratio)
        sound = self._samples(file, start, start + math.ceil(wanted * ratio) + 1)
        if not unchanged:
            sound = soxr.resample(sound, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="MQ")
        sound = np.pad(sound, (0, max(0, wanted - len(sound))))[:wanted]
        return sound.astype(np.float32, copy=False), min(length, total - first)

    def _first_frame(self, total: int, unchanged: bool, rng: np.random.Generator) -> int:
        """Where a crop begins; up to half a column before the sound, so that onsets stand anywhere in a column."""
        length, column = self.config.crop_frames, FRAMES_PER_COLUMN
        if unchanged:
            return column * int(rng.integers(0, max(1, (total - length // 2) // column + 1))) if total > length else 0
        latest = total - 2 * length // 3 if total > length else min(column // 2, total - LEAST_FRAMES)
        return int(rng.integers(-column // 2, max(1, latest)))

    def _samples(self, file: CorpusFile, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Samples [stop - start] of a file, zero outside it."""
        stored, peak = self.corpus.audio(file)
        inside = np.array(stored[max(start, 0) : max(stop, 0)], dtype=np.float32) * np.float32(peak)
        before = min(max(-start, 0), stop - start)
        return np.pad(inside, (before, stop - start - before - len(inside)))


def augment(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """[B, M, T] dB under the level -> the same with another tone colour, gain, and sometimes another sound below it."""
    batch, bands, _ = mel.shape
    quieter = (
        mel[torch.from_numpy(rng.permutation(batch))] - torch.from_numpy(rng.uniform(0, MIX_DB, (batch, 1, 1))).float()
    )
    both = 20.0 * (10.0 ** (mel / 20.0) + 10.0 ** (quieter / 20.0)).log10()
    mel = torch.where(torch.from_numpy(rng.random((batch, 1, 1)) < MIXED_SHARE), both, mel)
    height = np.linspace(0.0, 1.0, bands)
    waves = np.stack([np.cos(np.pi * order * height) for order in (1, 2, 3)]) * np.array([[0.7], [0.5], [0.4]])
    tilt = TILT_DB * rng.standard_normal((batch, 3)) @ waves
    gain = np.hypot(TILT_DB, GAIN_DB) * rng.standard_normal((batch, 1))
    shifted = mel + torch.from_numpy(tilt + gain).float()[:, :, None]
    return shifted.clamp(FLOOR_DB, LOUDEST_DB)
