"""Of which stretches of recordings a sound may be put together: the way through the corpus that explains it best.

The windows of a sound, 0.085 s each, are followed through the recordings: a way goes on in the same recording at the same
distance, or changes to any other place of any recording, which costs `CHANGE` (Viterbi, 1967, with one price for all changes).
So a splice in the middle of a second is found, and what is alike all along is not torn apart. Gain, polarity and small changes
of speed hide nothing, as in `nearest`; what is soft is looked at as closely as what is loud.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distill.novelty.nearest import FAR, POOLED_BANDS, POOLED_FRAMES, SPEEDS, moved_bands
from distill.novelty.sounds import WIDE_DB
from distill.settings.geometry import SpectrogramConfig

WINDOW_FRAMES, STEP_FRAMES = 8, 4
STEPS = WINDOW_FRAMES // POOLED_FRAMES
NEAR_RANGE_DB = 40.0
"""How far under the loudest cell around it a frame is looked at."""
SOFT_DB = 0.5
"""Windows that differ by less are taken to differ by this."""
CHANGE = 4.0
"""What it costs to go on elsewhere, in logarithms of a window's unexplained share: so much better must what follows be."""
MOST = 0.5
"""What a window costs at most: where nothing is near, each is as far as the other."""
CELLS = 2**22
"""Distances that are held at a time."""
BLOCK = 8192
CENTRE = (WINDOW_FRAMES - STEP_FRAMES) // 2
"""Where in a window the frames are that it alone speaks for."""


class Stretch(NamedTuple):
    """A part of a sound that goes along one recording."""

    begins: int
    """Frame of the sound."""
    ends: int
    sound: int
    """Number of the recording."""
    frame: int
    """Frame of it that is beside `begins`; it may lie a little before its first."""
    unexplained: float
    """Share of the stretch's variation that the recording leaves unexplained: 0 is the recording itself."""


class Tapes:
    """Recordings behind each other, as they are and a little lower and higher, in each way in which they are heard."""

    def __init__(self, recordings: Sequence[Sequence[Tensor]], spectrogram: SpectrogramConfig) -> None:
        """`recordings`: of each its log-mels [T, M], dB under its loudest cell, at most `WIDE_DB`."""
        lengths = torch.tensor([len(mels[0]) + 2 * WINDOW_FRAMES for mels in recordings])
        self.first = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        self.owner = torch.repeat_interleave(torch.arange(len(recordings)), lengths)
        self.tapes = []
        for way in range(len(recordings[0])):
            for speed in SPEEDS:
                moved = None if speed == 1.0 else moved_bands(spectrogram, speed)
                self.tapes.append(_tape([mels[way] if moved is None else mels[way] @ moved for mels in recordings]))
        beyond = torch.arange(len(self)) + WINDOW_FRAMES > self.first[1:][self.owner]
        for tape in self.tapes:
            tape.squares.masked_fill_(beyond, FAR)

    def __len__(self) -> int:
        """Frames of one tape."""
        return len(self.owner)

    def apart(self, queries: Tensor) -> Tensor:
        """[n, D] -> [n, tapes * F] squared distances, less the queries' own squares."""
        total = len(self)
        return torch.cat(
            [tape.apart(queries, at, min(at + BLOCK, total)) for tape in self.tapes for at in range(0, total, BLOCK)],
            dim=1,
        )

    def stretches(self, mel: Tensor) -> list[Stretch]:
        """The stretches of a sound's log-mel [T, M] in dB, one behind the other, all of it."""
        queries = _windows(mel)
        own = queries.square().sum(1)
        soft = SOFT_DB**2 * queries.shape[1]
        way = _Way(len(self.tapes), len(self))
        rows = max(1, CELLS // way.states)
        for first in range(0, len(queries), rows):
            some = slice(first, first + rows)
            apart = self.apart(queries[some])
            left = ((apart + own[some, None]).clamp_min(0.0) + soft) / (own[some, None] + soft)
            for costs in torch.where(apart > FAR / 2, FAR, left.log().clamp_max(MOST)):
                way.step(costs)
        found = []
        for first, last, state in way.runs():
            number, at = divmod(state, len(self))
            at -= (last - first) * STEP_FRAMES
            mine = slice(first, last + 1)
            apart = self.tapes[number].beside(queries[mine], at) + own[mine]
            share = float((apart.clamp_min(0.0) + soft).sum() / (own[mine] + soft).sum())
            begins = 0 if first == 0 else first * STEP_FRAMES + CENTRE
            ends = len(mel) if last == len(queries) - 1 else (last + 1) * STEP_FRAMES + CENTRE
            sound = int(self.owner[at])
            frame = at - int(self.first[sound]) - WINDOW_FRAMES + begins - first * STEP_FRAMES
            found.append(Stretch(begins, ends, sound, frame, min(1.0, share)))
        return found


class _Tape(NamedTuple):
    """Recordings behind each other, with silence around each: [F] windows, one at every frame."""

    frames: Tensor  # [F + WINDOW_FRAMES, M'] pooled over bands and two frames
    squares: Tensor  # [F] squared norm of each window, its mean taken off; FAR where one would go beyond its recording

    def apart(self, queries: Tensor, first: int, stop: int) -> Tensor:
        """[n, D] -> [n, stop - first] squared distances, less the queries' own squares, to the windows from `first` on."""
        size, width = stop - first, self.frames.shape[1]
        block = self.frames[first : stop + WINDOW_FRAMES].contiguous()
        strides = (width, POOLED_FRAMES * width, 1)
        windows = block.as_strided((size, STEPS, width), strides).reshape(size, -1)
        return torch.addmm(self.squares[first:stop], queries, windows.T, alpha=-2.0)

    def beside(self, queries: Tensor, first: int) -> Tensor:
        """[n, D] -> [n] the same to the windows that follow each other from frame `first` on, as those of a sound do."""
        at = range(first, first + STEP_FRAMES * len(queries), STEP_FRAMES)
        return torch.cat([self.apart(each[None], frame, frame + 1)[0] for each, frame in zip(queries, at, strict=True)])


class _Way:
    """The cheapest ways to each place of the tapes so far."""

    def __init__(self, tapes: int, frames: int) -> None:
        self.tapes, self.states = tapes, tapes * frames
        self.cost = torch.zeros(self.states)
        self.began = torch.zeros(self.states, dtype=torch.int32)
        """Step at which each way has come to the recording that it is in."""
        self.best: list[tuple[int, int]] = []
        """For each step the cheapest state, and the step at which its way came to that recording."""

    def step(self, left: Tensor) -> None:
        """Take the next window: `left` [states] is what it costs in each place."""
        now = len(self.best)
        if now:
            cost = self._moved(self.cost, FAR)
            changed = float(self.cost.min()) + CHANGE
            stays = cost <= changed
            self.cost = torch.where(stays, cost, changed) + left
            self.began = torch.where(stays, self._moved(self.began, now), now)
        else:
            self.cost = left
        least = int(self.cost.argmin())
        self.best.append((least, int(self.began[least])))

    def _moved(self, states: Tensor, value: float) -> Tensor:
        """What was at each place a step ago."""
        return F.pad(states.view(self.tapes, -1)[:, :-STEP_FRAMES], (STEP_FRAMES, 0), value=value).flatten()

    def runs(self) -> list[tuple[int, int, int]]:
        """First and last window of each stretch, and the state of the last one."""
        found = []
        last = len(self.best) - 1
        while last >= 0:
            state, first = self.best[last]
            found.append((first, last, state))
            last = first - 1
        return found[::-1]


def _tape(mels: Sequence[Tensor]) -> _Tape:
    silence = torch.full((WINDOW_FRAMES, mels[0].shape[1]), -WIDE_DB)
    frames = torch.cat([_frames(torch.cat([silence, mel, silence])) for mel in mels])
    total = len(frames)
    frames = F.pad(frames, (0, 0, 0, WINDOW_FRAMES))
    sums, squares = frames.sum(1).double(), frames.square().sum(1).double()
    at = torch.arange(total)[:, None] + torch.arange(0, WINDOW_FRAMES, POOLED_FRAMES)
    norms = squares[at].sum(1) - sums[at].sum(1).square() / (STEPS * frames.shape[1])
    return _Tape(frames, norms.float())


def _frames(mel: Tensor) -> Tensor:
    """[T, M] -> [T, M'], floored under what is loudest around it, pooled over bands and over each frame with the next."""
    loudest = F.max_pool1d(mel.amax(1)[None, None], WINDOW_FRAMES + 1, 1, WINDOW_FRAMES // 2)[0, 0]
    mel = torch.maximum(mel, loudest[:, None] - NEAR_RANGE_DB).view(len(mel), -1, POOLED_BANDS).mean(2)
    return (mel + torch.cat([mel[1:], mel[-1:]])) / POOLED_FRAMES


def _windows(mel: Tensor) -> Tensor:
    """[T, M] -> [n, D], one window every `STEP_FRAMES`, each with a mean of 0."""
    mel = F.pad(mel.float(), (0, 0, 0, max(0, WINDOW_FRAMES - len(mel))), value=float(mel.max()) - WIDE_DB)
    frames = _frames(mel)
    starts = torch.arange(0, len(frames) - WINDOW_FRAMES + 1, STEP_FRAMES)
    vectors = frames[starts[:, None] + torch.arange(0, WINDOW_FRAMES, POOLED_FRAMES)].flatten(1)
    return vectors - vectors.mean(1, keepdim=True)
