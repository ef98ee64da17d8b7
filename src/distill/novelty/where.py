"""Provenance: for every second of a sound the recording that is nearest, and whether that is nearer than chance."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distill.events import Event
from distill.novelty.measuring import Judged, Yardstick
from distill.novelty.nearest import seconds_of
from distill.novelty.sounds import Heard, pieces

NEARER_BELOW = 0.05
"""A second is nearer to its source than chance where unseen recordings are so near less often than this."""


@dataclass(frozen=True)
class Source:
    """What a second of a sound is nearest to."""

    begins: float
    """Seconds."""
    ends: float
    nearest: str
    nearest_seconds: float
    """Where in that recording the same moment is."""
    unexplained: float
    """Share of its variation that the recording leaves unexplained: 0 is the recording itself."""
    p: float
    nearer_than_chance: bool


@dataclass(frozen=True)
class WhereReport(Event):
    """Where the seconds of a sound are from."""

    model: str
    file: str
    recordings: int
    sources: tuple[Source, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {**asdict(self), "sources": [asdict(each) for each in self.sources]}


def sources(yardstick: Yardstick, sound: Judged) -> Iterator[Source]:
    """Each piece of about a second that is not silent."""
    cut = list(pieces(Heard(sound.name, sound.mel)))
    for each in yardstick.place(cut):
        yield Source(
            begins=each.piece.begins,
            ends=each.piece.begins + seconds_of(len(each.piece.mel)),
            nearest=each.nearest,
            nearest_seconds=max(0.0, seconds_of(each.match.frame - each.match.begins)),
            unexplained=float(np.exp(each.match.unexplained)),
            p=each.p,
            nearer_than_chance=each.p < NEARER_BELOW,
        )
