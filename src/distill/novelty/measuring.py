"""Figures for each sound, and the null they are judged by: what the user's own unseen material gives.

The null is each recording that was held out, against the training files, and each training file against all others: so
material that repeats itself gets a fair baseline.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
from torch import Tensor

from distill.novelty.nearest import Compared, Corpus, Match, seconds_of
from distill.novelty.runs import NO_RUN, KnownCodes, Run
from distill.novelty.sounds import Heard, floored, loud_columns, pieces, positions_in_seconds
from distill.novelty.statistics import Null, Values
from distill.settings.geometry import BANDS, SpectrogramConfig

PIECES_OF_A_FILE = 4
"""Pieces of a recording that the null is made of at most, evenly spread over it."""
MOST_NULL_PIECES, MOST_OF_LONG, LONG_FRAMES = 400, 150, 60_000
"""Pieces of the null, and of corpora that are longer (11 minutes), where each costs more."""
MOST_RUNS = 80
"""Recordings whose longest run in the others is looked for."""
STANDS_OUT = 0.05
USUAL_SPREAD = 0.8
"""Spread of the lower half of a null in the logarithm of unexplained shares, as the corpora it was tried on have it."""
AT_ONCE = 64
"""Pieces that are compared together."""


@dataclass(frozen=True)
class Known:
    """A recording of the model's corpus: the codes that were kept of it, and its log-mels."""

    name: str
    group: int
    codes: Tensor
    """[S, Q] of the middle."""
    wide: tuple[Tensor, ...]
    """[T, M] as decoded from the codes, and as recorded where that is at hand: dB under the loudest cell, at most `WIDE_DB`."""

    @cached_property
    def mels(self) -> tuple[Tensor, ...]:
        """The same, floored at `RANGE_DB`."""
        return tuple(floored(mel) for mel in self.wide)


@dataclass(frozen=True)
class Judged:
    """A sound that may be a copy."""

    name: str
    mel: Tensor
    """[T, M] dB under the loudest cell, at most `WIDE_DB`."""
    codes: Tensor
    """[S, Q] of the middle."""


@dataclass(frozen=True)
class SoundNovelty:
    """How new one sound is."""

    name: str
    seconds: float
    copied: bool
    p: float
    """The chance that an unseen recording is as near to the corpus."""
    score: float
    """Spreads of the null's lower half by which it is nearer than the null's middle is; below 0: nearer."""
    unexplained: float
    """Share of its variation that the best aligned stretch of a recording leaves unexplained: 0 is a copy."""
    nearest: str
    """Name of that recording."""
    nearest_seconds: float
    """Where in it that stretch begins."""
    at_seconds: float
    """Where in the sound it begins."""
    run_seconds: float
    """The longest run of codes that is in the training files to the letter, all levels."""
    coarse_run_seconds: float
    """The same of the coarsest level alone."""
    covered: float
    """Share of the sound in such runs of 0.34 s or more, coarsest level."""
    aligned: float
    """Share of coarse codes that are the same at the best lag."""
    farness: float
    """How far it is from being like the corpus, whatever the order: logarithm of the unexplained share."""


@dataclass(frozen=True)
class Scale:
    """What is to be expected of sounds that were not copied, where recordings are heard in one way: decoded, or as they are."""

    corpus: Corpus
    owners: tuple[str, ...]
    """The recording of each piece of the null."""
    centres: Values
    """[shares] middle of the null at each share of a piece, and the spread of its lower half."""
    spreads: Values
    windows: Values
    """[shares] how many windows of a piece that usually is."""
    null: Null
    """Of scores."""
    farness: Values
    """Of the same pieces."""

    @classmethod
    def of(cls, train: Sequence[Heard], held_out: Sequence[Heard], spectrogram: SpectrogramConfig) -> "Scale":
        """Measure the null: each recording against the training files of other groups."""
        corpus = Corpus(train, spectrogram)
        cut = _null_pieces([*train, *held_out], MOST_NULL_PIECES if len(corpus) < LONG_FRAMES else MOST_OF_LONG)
        owners = tuple(piece.name for piece in cut)
        found = compared(corpus, cut)
        values = np.array([[match.unexplained for match in each.matches] for each in found])
        nulls = [Null.of(list(column), owners) for column in values.T]
        centres = np.array([null.quantile(0.5) for null in nulls])
        spreads = np.array([null.lower_spread(USUAL_SPREAD) for null in nulls])
        scores = ((values - centres) / spreads).min(1)
        windows = np.median([[match.windows for match in each.matches] for each in found], axis=0)
        return cls(
            corpus,
            owners,
            centres,
            spreads,
            windows,
            Null.of(list(scores), owners),
            np.array([each.farness for each in found]),
        )

    def placed(self, piece: Heard, found: Compared, is_part: bool = False) -> "Placed":
        """What a comparison means on this scale.

        Args:
            is_part: whether the piece was cut out of a second, so that it may be so near for being short alone.
        """
        centres, spreads = self.centres, self.spreads
        if is_part:
            lengths = np.log([match.windows for match in found.matches])
            centres, spreads = (np.interp(lengths, np.log(self.windows), values) for values in (centres, spreads))
        scores = (np.array([match.unexplained for match in found.matches]) - centres) / spreads
        best = int(scores.argmin())
        match = found.matches[best]
        p = float(self.null.p(scores[best : best + 1])[0])
        return Placed(piece, self.corpus.sounds[match.sound].name, match, float(scores[best]), p, found.farness)

    def means(self, values: Values) -> dict[str, float]:
        """The mean of a recording's pieces, for each recording."""
        owners = np.array(self.owners)
        return {name: float(values[owners == name].mean()) for name in sorted(set(self.owners))}


class Placed(NamedTuple):
    """A piece of a sound beside what it is nearest to."""

    piece: Heard
    nearest: str
    match: Match
    score: float
    p: float
    farness: float


@dataclass(frozen=True)
class Yardstick:
    """The corpus to compare with, and what is to be expected of sounds that were not copied from it."""

    scales: tuple[Scale, ...]
    """One for each way in which the recordings are heard."""
    known: KnownCodes
    levels: int
    recording_scores: Values
    """[recordings] scores, and farness, of each recording of the null."""
    recording_farness: Values
    longest_run: int
    """Positions of the longest run of all levels among the null's recordings."""

    @classmethod
    def of(cls, train: Sequence[Known], held_out: Sequence[Known], spectrogram: SpectrogramConfig) -> "Yardstick":
        """Measure the null."""
        scales = tuple(
            Scale.of(_heard(train, number), _heard(held_out, number), spectrogram)
            for number in range(len(train[0].wide))
        )
        known = KnownCodes([each.codes.numpy() for each in train], [each.group for each in train])
        levels = train[0].codes.shape[1]
        every = [*train, *held_out]
        some = every[:: -(-len(every) // MOST_RUNS)]
        runs = [_run_of(known, each.codes, each.wide[0], levels, each.group) for each in some]
        return cls(
            scales,
            known,
            levels,
            _least([scale.means(scale.null.values) for scale in scales]),
            _least([scale.means(scale.farness) for scale in scales]),
            max((run.positions for run in runs), default=0),
        )

    @property
    def recordings(self) -> int:
        """How many recordings the null is of."""
        return len(self.recording_scores)

    def place(self, cut: Sequence[Heard], are_parts: Sequence[bool] | None = None) -> list[Placed]:
        """Each piece beside what explains it best, of what stands out, with the least chance of all scales, taken for as
        many chances as there are scales; `are_parts`: as of `Scale.placed`, none of them unless it is given."""
        parts = are_parts or [False] * len(cut)
        found = [
            [scale.placed(*each) for each in zip(cut, compared(scale.corpus, cut), parts, strict=True)]
            for scale in self.scales
        ]
        least = []
        for each in zip(*found, strict=True):
            best = min(each, key=lambda placed: (placed.p > STANDS_OUT, placed.match.unexplained))
            p = min(1.0, len(self.scales) * min(placed.p for placed in each))
            score, farness = min(placed.score for placed in each), min(placed.farness for placed in each)
            least.append(best._replace(p=p, score=score, farness=farness))
        return least

    def measure(self, sounds: Iterable[Judged]) -> Iterator[SoundNovelty]:
        """Measure sounds one after the other; `copied` is decided when all are known."""
        waiting = iter(sounds)
        while some := list(islice(waiting, AT_ONCE)):
            cut = [list(pieces(Heard(sound.name, sound.mel))) for sound in some]
            placed = iter(self.place([piece for each in cut for piece in each]))
            for sound, mine in zip(some, cut, strict=True):
                yield self._novelty(sound, list(islice(placed, len(mine))))

    def _novelty(self, sound: Judged, placed: Sequence[Placed]) -> SoundNovelty:
        best = min(placed, key=lambda each: (each.p, each.score))
        run = _run_of(self.known, sound.codes, sound.mel, self.levels)
        coarse = _run_of(self.known, sound.codes, sound.mel, 1)
        return SoundNovelty(
            name=sound.name,
            seconds=seconds_of(len(sound.mel)),
            copied=False,
            p=min(1.0, len(placed) * best.p),
            score=min(each.score for each in placed),
            unexplained=float(np.exp(best.match.unexplained)),
            nearest=best.nearest,
            nearest_seconds=max(0.0, seconds_of(best.match.frame)),
            at_seconds=seconds_of(best.piece.begins_frame + best.match.begins),
            run_seconds=positions_in_seconds(run.positions),
            coarse_run_seconds=positions_in_seconds(coarse.positions),
            covered=coarse.covered,
            aligned=coarse.aligned,
            farness=float(np.mean([each.farness for each in placed])),
        )


def _heard(recordings: Sequence[Known], number: int) -> list[Heard]:
    return [Heard(each.name, each.wide[number], each.group) for each in recordings]


def _least(means: Sequence[Mapping[str, float]]) -> Values:
    """Of each recording, the smallest of what the scales say."""
    names = sorted(set.intersection(*(set(each) for each in means)))
    return np.array([min(each[name] for each in means) for name in names])


def compared(corpus: Corpus, cut: Sequence[Heard]) -> list[Compared]:
    """Pieces with a corpus, so many at once that memory does not grow."""
    return [each for first in range(0, len(cut), AT_ONCE) for each in corpus.compare(cut[first : first + AT_ONCE])]


def _null_pieces(recordings: Sequence[Heard], most: int) -> list[Heard]:
    """A few pieces of each recording, or of every second, third, ... where there are many."""
    allowed = max(1, min(PIECES_OF_A_FILE, most // len(recordings)))
    cut = []
    for recording in recordings[:: -(-len(recordings) // most)]:
        found = list(pieces(recording))
        cut += [
            found[i] for i in np.unique(np.linspace(0, len(found) - 1, min(allowed, len(found))).round().astype(int))
        ]
    return cut


def _run_of(known: KnownCodes, codes: Tensor, mel: Tensor, levels: int, group: int = -1) -> Run:
    if not len(codes):
        return NO_RUN
    loud = loud_columns(mel, len(codes) // BANDS).numpy()
    return known.longest(codes.numpy(), loud, levels, group)
