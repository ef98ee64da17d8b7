"""Crops of sound to train the synthesiser on, with the samples that their mels were made of."""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import soxr
import torch
from torch import Tensor

from distill.audio.mel import log_mel_blocks
from distill.corpus.sounds import Corpus
from distill.files import cannot_write
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

CROP_FRAMES = 64
BEFORE_FRAMES = 4
"""Frames that a crop may begin before the sound, or end after it, so that starts and ends are learned too."""
SEMITONES = 2.0
"""A crop is played up to this much higher and faster, or lower and slower."""
UNCHANGED_SHARE = 0.5
GAIN_DB = 3.0

Samples = npt.NDArray[np.float32]


class WaveformBatch(NamedTuple):
    """Crops of sound with the margins that their mels need."""

    samples: Tensor  # [B, (T - 1) * hop + n_fft]
    level: Tensor  # [B] dB, of the loudest mel cell of the file
    seed: Tensor  # [1], of everything random in the step


class WaveformSource:
    """Draws crops without end, a sound in proportion to the square root of its length, a place at random."""

    def __init__(self, sounds: Sequence[Samples], config: SpectrogramConfig) -> None:
        """`sounds`: [N] each, memory-mapped or not."""
        self.sounds = sounds
        self.config = config
        self.levels = [max(float(block.max()) for block in log_mel_blocks(sound, config)) for sound in sounds]
        weights = np.sqrt([max(len(sound), CROP_FRAMES * config.hop_length // 4) for sound in sounds])
        self.chances = weights / weights.sum()

    def draw(self, count: int, rng: np.random.Generator) -> WaveformBatch:
        """`count` crops, a little louder or softer, half of them at another speed."""
        chosen = rng.choice(len(self.sounds), count, p=self.chances)
        gains = rng.normal(0.0, GAIN_DB, count)
        crops = [self._cut(self.sounds[i], rng) * 10.0 ** (gain / 20.0) for i, gain in zip(chosen, gains, strict=True)]
        level = torch.tensor([self.levels[i] + gain for i, gain in zip(chosen, gains, strict=True)]).float()
        seed = torch.tensor([int(rng.integers(2**31))])
        return WaveformBatch(torch.from_numpy(np.stack(crops).astype(np.float32)), level, seed)

    def _cut(self, sound: Samples, rng: np.random.Generator) -> Samples:
        hop, n_fft = self.config.hop_length, self.config.n_fft
        ratio = 1.0 if rng.random() < UNCHANGED_SHARE else 2.0 ** (rng.uniform(-SEMITONES, SEMITONES) / 12.0)
        wanted = (CROP_FRAMES - 1) * hop + n_fft
        total = math.ceil(len(sound) / (hop * ratio))
        first = int(rng.integers(-BEFORE_FRAMES, max(1, total - CROP_FRAMES + BEFORE_FRAMES + 1)))
        start = round((first * hop - n_fft // 2 + int(rng.integers(hop))) * ratio)
        stop = start + math.ceil(wanted * ratio) + 1
        inside = np.array(sound[max(start, 0) : max(stop, 0)], dtype=np.float32)
        before = min(max(-start, 0), stop - start)
        crop = np.pad(inside, (before, stop - start - before - len(inside)))
        if ratio != 1.0:
            crop = soxr.resample(crop, SAMPLE_RATE * ratio, SAMPLE_RATE, quality="MQ")
        fitted: Samples = np.pad(crop, (0, max(0, wanted - len(crop))))[:wanted].astype(np.float32, copy=False)
        return fitted


def decoded_to(stream: IO[bytes], corpus: Corpus) -> list[Samples]:
    """The training files of a corpus as they are decoded, written to `stream` and memory-mapped: [N] each."""
    lengths = []
    for file in corpus.manifest.train:
        lengths.append(0)
        for block in corpus.decoded(file):
            _write(stream, np.ascontiguousarray(block, dtype=np.float32).tobytes())
            lengths[-1] += len(block)
    whole = np.memmap(stream, dtype=np.float32, mode="r", shape=(sum(lengths),))
    ends = np.cumsum(lengths)
    return [whole[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _write(stream: IO[bytes], content: bytes) -> None:
    try:
        stream.write(content)
        stream.flush()
    except OSError as error:
        raise cannot_write(Path(tempfile.gettempdir(), "decoded sounds"), error) from error


def temporary_samples() -> IO[bytes]:
    """A nameless file for decoded sound, so that memory does not grow with the corpus."""
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise cannot_write(Path(tempfile.gettempdir(), "decoded sounds"), error) from error
