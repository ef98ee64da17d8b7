"""Canvases: codes of which some are fixed, some free, some wished for. Whatever is asked of the prior is one of them.

    going on from a sound     fixed ···· free ····            a variation      coarse levels fixed, fine ones free
    replacing a part          fixed ·· free ·· fixed ··       a loop           free, its end running into its beginning

`models.filling` fills them. Which columns are read in which window, and in which order, is decided here: from what is fixed
alone, so that canvases of one shape can be filled side by side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Ends = Literal["asked", "may", "never", "known"]
"""What lies behind the last column. asked: the sound may be over before, or just there. may: it may be over before; just
there nobody asks. never: it goes on. known: it is over there."""


class Guide(NamedTuple):
    """A sound that codes are drawn close to."""

    vectors: Tensor  # [S, D], what its codes stand for, as the prior reads them
    strength: Tensor  # [C, Q], 0: not at all, 1: as close as can be


@dataclass(frozen=True)
class Canvas:
    """What is asked of the prior: S = C * bands positions of Q levels."""

    codes: Tensor  # [S, Q] int64; any code where it is free
    free: Tensor  # [S, Q] bool
    bands: int
    begins: bool = True
    """Whether a sound begins where the canvas begins; else it begins inside of one."""
    ends: Ends = "never"
    traits: Tensor | None = None
    """[C, 4], what is wished for in each column (`models.wishes`); NaN: nothing."""
    kind: int = 0
    """The kind that is wished for, from 1 on; 0: any."""
    strength: float = 1.0
    """How strongly wishes are followed: 1 as the prior has learned it, more exaggerates (guidance)."""
    guide: Guide | None = None
    period: int = 0
    """Columns after which the sound comes round again; 0: nothing is said of that."""
    first: int = 0
    """How many columns of the sound lie before the canvas: which columns share a stereo image is counted from its beginning."""

    @property
    def columns(self) -> int:
        """How long it is."""
        return len(self.codes) // self.bands

    @property
    def wished(self) -> bool:
        """Whether anything is wished for."""
        return self.kind > 0 or self.period > 0 or (self.traits is not None and not bool(self.traits.isnan().all()))

    @property
    def known(self) -> Tensor:
        """[C] bool, columns in which nothing is free."""
        return ~self.free.view(self.columns, -1).any(-1)

    @property
    def partly(self) -> Tensor:
        """[C] bool, columns of which some codes are fixed and some free."""
        return ~self.known & ~self.free.view(self.columns, -1).all(-1)


def open_canvas(columns: int, bands: int, levels: int, ends: Ends = "may", first: int = 0) -> Canvas:
    """Nothing fixed: a new sound of at most so many columns, after the `first` ones where others go before it."""
    codes = torch.zeros(columns * bands, levels, dtype=torch.long)
    return Canvas(codes, torch.ones_like(codes, dtype=torch.bool), bands, ends=ends, first=first)


class Shape(NamedTuple):
    """What decides in which windows a canvas is filled; canvases of one shape are filled side by side."""

    known: tuple[bool, ...]  # without the open end
    partly: tuple[bool, ...]
    begins: bool

    @classmethod
    def of(cls, canvas: Canvas) -> "Shape":
        known, partly = canvas.known.tolist(), canvas.partly.tolist()
        fixed = max((place + 1 for place in range(len(known)) if known[place] or partly[place]), default=0)
        return cls(tuple(known[:fixed]), tuple(partly[:fixed]), canvas.begins)


class Reach(NamedTuple):
    """A window of a canvas: columns first .. first + width - 1."""

    first: int
    known: list[bool]
    """For each of its columns whether it is read before all that are drawn."""
    drawn: list[int]
    """The columns of the window that are drawn in it, in order."""


def reaches(shape: Shape, columns: int, window: int) -> Iterator[Reach]:
    """The windows in which a canvas of `columns` is filled, one after another, each free column drawn once.

    A window holds what is known on the left and, where the hole ends within reach, as much of what is known on its right. A
    long stretch is filled in windows that keep the newest columns, and its last part with both sides in view.
    """
    known = [*shape.known, *[False] * (columns - len(shape.known))]
    column = 0
    while (column := _next(known, False, column)) < columns:
        end = _next(known[: len(shape.known)], True, column)
        end = columns if end >= len(shape.known) else end
        hole, kept, limit = end - column, kept_columns(window), columns
        if end == columns or end < window:  # no right side, or all within one window
            first = 0 if column < window else column - kept
        elif hole <= kept:
            first = max(0, min(column - max(1, (window - hole) // 2), len(shape.known) - window))
        else:
            first, limit = max(0, column - kept), column + max(1, hole - window // 2)
        last = min(first + window, limit, end)
        yield Reach(
            first,
            [place < columns and known[place] for place in range(first, first + window)],
            [place - first for place in range(column, last)],
        )
        known[column:last] = [True] * (last - column)


def kept_columns(window: int) -> int:
    """How many of the newest columns the next window of a long stretch begins with, so that it goes on from them."""
    return window * 2 // 3


def _next(known: Sequence[bool], wanted: bool, first: int) -> int:
    """The first column from `first` on that is known, or is not; else how many there are."""
    return next((place for place in range(first, len(known)) if known[place] == wanted), len(known))


def by_shape(canvases: Sequence[Canvas]) -> dict[tuple[Shape, bool, bool], list[int]]:
    """Which canvases can be filled side by side: by shape, whether they are wished for beyond what the prior has learned,
    and whether they have a guide."""
    groups: dict[tuple[Shape, bool, bool], list[int]] = {}
    for number, canvas in enumerate(canvases):
        key = (Shape.of(canvas), canvas.wished and canvas.strength != 1.0, canvas.guide is not None)
        groups.setdefault(key, []).append(number)
    return groups
