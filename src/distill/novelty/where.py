"""Provenance: for every second of a sound the recording that is nearest, and whether that is nearer than chance."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from distill.audio.mel import log_mel_of
from distill.audio.reading import Samples
from distill.events import Event, Source
from distill.novelty.measuring import Known, Placed, Yardstick
from distill.novelty.nearest import seconds_of
from distill.novelty.sounds import PIECE_FRAMES, QUIET_DB, RANGE_DB, WIDE_DB, Heard, floored
from distill.novelty.stretches import Stretch, Tapes
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

NEARER_BELOW = 0.05
"""A second is nearer to its source than chance where unseen recordings are so near less often than this."""
PASSAGE_SECONDS = 30
"""Longer sounds are looked at passage by passage, so that memory does not grow with them."""
SAME_FRAMES = 10
"""Stretches of one recording whose places differ by less than this (0.1 s) are one."""


@dataclass(frozen=True)
class WhereReport(Event):
    """Where the seconds of a sound are from."""

    model: str
    file: str
    recordings: int
    sources: tuple[Source, ...]
    side_by_side: str | None = None
    """A file in which each second of the sound is followed by that of its recording."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "sources": [asdict(each) for each in self.sources]}


class _Part(NamedTuple):
    """A second of a sound, or less where it changes its recording."""

    piece: Heard
    stretch: Stretch
    is_part: bool
    """Whether the stretch is shorter than a second because another begins."""


@dataclass(frozen=True)
class Provenance:
    """The recordings of a model, ready to be found in sounds."""

    yardstick: Yardstick
    tapes: Tapes
    names: tuple[str, ...]
    spectrogram: SpectrogramConfig

    @classmethod
    def of(cls, train: Sequence[Known], held_out: Sequence[Known], spectrogram: SpectrogramConfig) -> Self:
        """Of the recordings that were learned from, and those that were held out."""
        tapes = Tapes([each.wide for each in train], spectrogram)
        return cls(Yardstick.of(train, held_out, spectrogram), tapes, tuple(each.name for each in train), spectrogram)

    def sources(self, samples: Samples) -> Iterator[Source]:
        """Each second of a sound [N] at 48 kHz in which there is something to hear; less where the recording changes."""
        tracing = Tracing(self)
        yield from tracing.take(samples)
        yield from tracing.end()

    def of_passage(self, samples: Samples, begins: float) -> list[Source]:
        """The same of a part of a sound that begins at a second of it."""
        mel = log_mel_of(samples, self.spectrogram).T
        if float(mel.max()) <= self.spectrogram.floor_db:
            return []
        parts = list(_parts(mel, self.tapes.stretches(mel)))
        placed = self.yardstick.place([each.piece for each in parts], [each.is_part for each in parts]) if parts else []
        ends = begins + len(samples) / SAMPLE_RATE
        return [self._source(part, each, begins, ends) for part, each in zip(parts, placed, strict=True)]

    def _source(self, part: _Part, placed: Placed, begins: float, ends: float) -> Source:
        """What is beside a part all along; where only a bit of it stands out, what that is nearest to."""
        nearer = placed.p < NEARER_BELOW
        name = self.names[part.stretch.sound]
        frame = part.stretch.frame + part.piece.begins_frame - part.stretch.begins
        unexplained = part.stretch.unexplained
        if nearer and placed.nearest != name:
            name, frame = placed.nearest, placed.match.frame - placed.match.begins
            unexplained = float(np.exp(placed.match.unexplained))
        return Source(
            begins=begins + part.piece.begins,
            ends=min(ends, begins + part.piece.begins + seconds_of(len(part.piece.mel))),
            nearest=name,
            nearest_seconds=max(0.0, seconds_of(frame)),
            unexplained=unexplained,
            p=placed.p,
            nearer_than_chance=nearer,
        )


class Tracing:
    """The sources of a sound that comes block by block."""

    def __init__(self, provenance: Provenance) -> None:
        self._provenance = provenance
        self._waiting: list[Samples] = []
        self._begins = 0

    def take(self, samples: Samples) -> Iterator[Source]:
        """The next samples [N] at 48 kHz -> what can be said by now."""
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) < PASSAGE_SECONDS * SAMPLE_RATE:
            return
        whole = np.concatenate(self._waiting)
        size = PASSAGE_SECONDS * SAMPLE_RATE
        for first in range(0, len(whole) - size + 1, size):
            yield from self._passage(whole[first : first + size])
        self._waiting = [whole[len(whole) // size * size :]]

    def end(self) -> Iterator[Source]:
        """What is left."""
        rest = np.concatenate(self._waiting) if self._waiting else np.zeros(0, dtype=np.float32)
        if len(rest):
            yield from self._passage(rest)

    def _passage(self, samples: Samples) -> Iterator[Source]:
        yield from self._provenance.of_passage(samples, self._begins / SAMPLE_RATE)
        self._begins += len(samples)


def _parts(mel: torch.Tensor, stretches: Sequence[Stretch]) -> Iterator[_Part]:
    """The stretches without the silence around the sound, in pieces of about a second; silent ones are left out."""
    heard = floored(mel, WIDE_DB)
    audible = (heard.amax(1) > 1.0 - RANGE_DB).nonzero()[:, 0]
    first, stop = int(audible[0]), int(audible[-1]) + 1
    joined = _joined(stretches)
    for stretch in joined:
        begins, ends = max(first, stretch.begins), min(stop, stretch.ends)
        if begins >= ends:
            continue
        count = max(1, round((ends - begins) / PIECE_FRAMES))
        for number in range(count):
            begin = begins + number * PIECE_FRAMES
            end = ends if number == count - 1 else begin + PIECE_FRAMES
            if float(heard[begin:end].max()) > -QUIET_DB:
                piece = Heard("", floored(heard[begin:end], WIDE_DB), begins_frame=begin)
                yield _Part(piece, stretch, len(joined) > 1 and count == 1)


def _joined(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Stretches that go on where those before them ended, as one."""
    found: list[Stretch] = []
    for each in stretches:
        last = found[-1] if found else None
        if last is not None and last.sound == each.sound:
            expected = last.frame + each.begins - last.begins
            if abs(expected - each.frame) < SAME_FRAMES:
                frames = (last.ends - last.begins, each.ends - each.begins)
                share = float(np.average([last.unexplained, each.unexplained], weights=frames))
                found[-1] = last._replace(ends=each.ends, unexplained=share)
                continue
        found.append(each)
    return found
