"""How near a piece of sound is to a corpus: the share of it that the best aligned stretch of a recording does not explain.

A piece is read in windows of 0.064 s, the corpus has one at every frame, and windows of a piece that follow each other are
compared with windows of a recording at the same distance from each other (as in matching pursuit by alignment, Smith and
Waterman, 1981, without gaps). Blind to gain (each window has its mean in dB taken off), to polarity (a mel has none), to
shift (every lag is tried) and to small changes of speed (the corpus is there again, a little lower and higher). A soft part
is looked at in its own range: beside a loud one it is as near to its recording as it is by itself.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from distill.audio.mel import hz_to_mel, mel_to_hz
from distill.novelty.sounds import FRAME_SECONDS, WIDE_DB, Heard
from distill.settings.geometry import SpectrogramConfig

WINDOW_FRAMES, STEP_FRAMES = 6, 4
POOLED_FRAMES, POOLED_BANDS = 2, 2
STEPS = WINDOW_FRAMES // POOLED_FRAMES
NEAR_RANGE_DB = 50.0
"""How far under the loudest cell around it a frame is looked at."""
AROUND_FRAMES = 8
"""How far around, to either side."""
SPEEDS = (1.0, 0.97, 1.03)
SHARES = (0.0, 0.4, 1.0)
"""How much of a piece a stretch is: one window, the half of what was put together of two, all of it."""
SOFT_DB = 0.2
"""Windows that differ by less are taken to differ by this: what has hardly any contrast says little."""
BLOCK = 8192
FAR = 1e9


class Match(NamedTuple):
    """The best aligned stretch of one share of a piece."""

    unexplained: float
    """Logarithm of the share of the piece's variance, in dB over bands and frames, that is left."""
    sound: int
    """Number of the recording."""
    frame: int
    """Frame of the recording at which the stretch begins."""
    begins: int
    """Frame of the piece at which it begins."""
    frames: int

    @property
    def windows(self) -> int:
        """How many it is of."""
        return (self.frames - WINDOW_FRAMES) // STEP_FRAMES + 1


class Compared(NamedTuple):
    """One piece against the corpus."""

    matches: tuple[Match, ...]  # one for each of SHARES
    farness: float
    """As `unexplained`, each window with the nearest of all, whatever its place: how much the piece is like the corpus."""


class _Known(NamedTuple):
    """The corpus at one speed: [F] windows, one at every frame."""

    frames: Tensor  # [F + WINDOW_FRAMES, M'] pooled over bands and two frames
    squares: Tensor  # [F] squared norm of each window, its mean taken off; FAR where one would go beyond its sound


class Corpus:
    """The sounds that a model has learned from, ready to be searched."""

    def __init__(self, sounds: Sequence[Heard], spectrogram: SpectrogramConfig) -> None:
        self.sounds = tuple(sounds)
        lengths = [len(sound.mel) + 2 * WINDOW_FRAMES for sound in sounds]
        ends = np.cumsum([0, *lengths])
        self.first = torch.from_numpy(ends[:-1].copy())
        self.owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        self.groups = torch.tensor([sound.group for sound in sounds])[self.owner]
        self._speeds = [self._known(spectrogram, speed) for speed in SPEEDS]

    def __len__(self) -> int:
        """Frames."""
        return len(self.owner)

    def _known(self, spectrogram: SpectrogramConfig, speed: float) -> _Known:
        moved = None if speed == 1.0 else moved_bands(spectrogram, speed)
        silence = torch.full((WINDOW_FRAMES, self.sounds[0].mel.shape[1]), -WIDE_DB)
        parts = [[silence, each.mel if moved is None else each.mel @ moved, silence] for each in self.sounds]
        frames = torch.cat([_frames(torch.cat(part)) for part in parts])
        frames = F.pad(frames, (0, 0, 0, WINDOW_FRAMES))
        total = len(self.owner)
        sums, squares = frames.sum(1).double(), frames.square().sum(1).double()
        every = torch.arange(0, WINDOW_FRAMES, POOLED_FRAMES)
        at = torch.arange(total)[:, None] + every
        norms = squares[at].sum(1) - sums[at].sum(1).square() / (STEPS * frames.shape[1])
        beyond = torch.arange(total) + WINDOW_FRAMES > torch.cat([self.first[1:], torch.tensor([total])])[self.owner]
        return _Known(frames, norms.float().masked_fill(beyond, FAR))

    def compare(self, pieces: Sequence[Heard]) -> list[Compared]:
        """Each piece with all sounds that are not of its group."""
        vectors = [_windows(piece.mel) for piece in pieces]
        queries = torch.cat(vectors)
        best = [_Best(each) for each in vectors]
        reach = max(_span(len(each)) for each in vectors)
        for known in self._speeds:
            for first in range(0, len(self.owner), BLOCK):
                stop = min(first + BLOCK + reach, len(self.owner))
                size, width = stop - first, known.frames.shape[1]
                block = known.frames[first : stop + WINDOW_FRAMES].contiguous()
                strides = (width, POOLED_FRAMES * width, 1)
                windows = block.as_strided((size, STEPS, width), strides).reshape(size, -1)
                apart = torch.addmm(known.squares[first:stop], queries, windows.T, alpha=-2.0)
                at = 0
                for piece, mine in zip(pieces, best, strict=True):
                    rows = apart[at : at + mine.count]
                    at += mine.count
                    if piece.group >= 0:
                        rows.masked_fill_(self.groups[first:stop] == piece.group, FAR)
                    mine.look(rows, first)
        return [mine.compared(self) for mine in best]


class _Best:
    """The best matches of one piece so far."""

    def __init__(self, vectors: Tensor) -> None:
        self.count = len(vectors)
        self.squares = vectors.square().sum(1)
        self.soft = SOFT_DB**2 * vectors.shape[1]
        self.nearest = torch.full((self.count,), torch.inf)
        self.lengths = [max(1, round(share * self.count + 0.49)) for share in SHARES]
        self.least = [torch.inf] * len(SHARES)
        self.place = [(0, 0)] * len(SHARES)
        cumulative = F.pad(self.squares.cumsum(0), (1, 0))
        self.own = [cumulative[n:] - cumulative[:-n] + n * self.soft for n in self.lengths]

    def look(self, apart: Tensor, first: int) -> None:
        """`apart` [n, N]: squared distances, less the own squares, to N windows from `first` on."""
        apart = (apart + self.squares[:, None]).clamp_min(0.0)
        self.nearest = torch.minimum(self.nearest, apart.amin(1))
        wide = apart.shape[1] - _span(self.count)
        if wide < 1:
            wide, lengths = apart.shape[1], [1]
        else:
            lengths = self.lengths
        cumulative = torch.zeros(self.count + 1, wide)
        if len(lengths) > 1:
            for row in range(self.count):
                torch.add(cumulative[row], apart[row, row * STEP_FRAMES :][:wide], out=cumulative[row + 1])
        for number, length in enumerate(lengths):
            if length == 1:
                left = (apart + self.soft) / self.own[number][:, None]
            else:
                left = (cumulative[length:] - cumulative[:-length] + length * self.soft) / self.own[number][:, None]
            value, at = left.flatten().min(0)
            if float(value) < self.least[number]:
                row, column = divmod(int(at), left.shape[1])
                lag = 0 if length == 1 else row * STEP_FRAMES
                self.least[number], self.place[number] = float(value), (row * STEP_FRAMES, first + column + lag)

    def compared(self, corpus: Corpus) -> Compared:
        matches = []
        for length, least, (begins, at) in zip(self.lengths, self.least, self.place, strict=True):
            owner = int(corpus.owner[at])
            frames = WINDOW_FRAMES + STEP_FRAMES * (length - 1)
            matches.append(
                Match(_logarithm(least), owner, at - int(corpus.first[owner]) - WINDOW_FRAMES, begins, frames)
            )
        farness = float((self.nearest + self.soft).sum() / (self.squares + self.soft).sum())
        return Compared(tuple(matches), _logarithm(farness))


def _logarithm(share: float) -> float:
    """Of what is left; more than all of it is all of it."""
    return float(np.log(min(max(share, 1e-9), 1.0)))


def _span(count: int) -> int:
    """Frames from the first to the last of so many windows."""
    return (count - 1) * STEP_FRAMES


def _frames(mel: Tensor) -> Tensor:
    """[T, M] -> [max(T, WINDOW_FRAMES), M'], floored under what is loudest around it, pooled over bands and frames."""
    mel = F.pad(mel, (0, 0, 0, max(0, WINDOW_FRAMES - len(mel))), value=-WIDE_DB)
    loudest = F.max_pool1d(mel.amax(1)[None, None], 2 * AROUND_FRAMES + 1, 1, AROUND_FRAMES)[0, 0]
    mel = torch.maximum(mel, loudest[:, None] - NEAR_RANGE_DB).view(len(mel), -1, POOLED_BANDS).mean(2)
    following = torch.cat([mel[1:], mel[-1:]])
    return (mel + following) / POOLED_FRAMES


def _windows(mel: Tensor) -> Tensor:
    """A piece [T, M] -> [n, D], each with a mean of 0."""
    frames = _frames(mel)
    starts = torch.arange(0, len(frames) - WINDOW_FRAMES + 1, STEP_FRAMES)
    at = starts[:, None] + torch.arange(0, WINDOW_FRAMES, POOLED_FRAMES)
    vectors = frames[at].flatten(1)
    return vectors - vectors.mean(1, keepdim=True)


@lru_cache(maxsize=8)
def moved_bands(spectrogram: SpectrogramConfig, speed: float) -> Tensor:
    """[M, M]: a mel [T, M] times this is that of the sound `speed` times as fast, its bands moved by interpolation."""
    ends = hz_to_mel(spectrogram.f_min_hz), hz_to_mel(spectrogram.f_max_hz)
    centres = np.linspace(*ends, spectrogram.n_mels + 2)[1:-1]
    wanted = np.array([hz_to_mel(hz / speed) for hz in mel_to_hz(centres)])
    at = np.clip((wanted - centres[0]) / (centres[1] - centres[0]), 0.0, spectrogram.n_mels - 1.0)
    below = np.minimum(at.astype(int), spectrogram.n_mels - 2)
    matrix = np.zeros((spectrogram.n_mels, spectrogram.n_mels), dtype=np.float32)
    columns = np.arange(spectrogram.n_mels)
    matrix[below, columns] = 1.0 - (at - below)
    matrix[below + 1, columns] += at - below
    return torch.from_numpy(matrix)


def seconds_of(frame: int) -> float:
    """Where a frame is."""
    return frame * FRAME_SECONDS
