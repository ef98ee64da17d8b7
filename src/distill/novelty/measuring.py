"""Figures for each sound, and the null they are judged by: what the user's own unseen material gives.

The null is each recording that was held out, against the training files, and each training file against all others: so
material that repeats itself gets a fair baseline.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from torch import Tensor

from distill.novelty.nearest import Compared, Corpus, Match, seconds_of
from distill.novelty.runs import NO_RUN, KnownCodes, Run
from distill.novelty.sounds import Heard, loud_columns, pieces, positions_in_seconds
from distill.novelty.statistics import Null, Values
from distill.settings.geometry import BANDS

PIECES_OF_A_FILE = 4
"""Pieces of a recording that the null is made of at most, evenly spread over it."""
MOST_NULL_PIECES = 400
AT_ONCE = 64
"""Pieces that are compared together."""


@dataclass(frozen=True)
class Known:
    """A recording of the model's corpus: the codes that were kept of it, and its log-mels, floored."""

    name: str
    group: int
    codes: Tensor
    """[S, Q] of the middle."""
    mels: tuple[Tensor, ...]
    """[T, M] as decoded from the codes, and as recorded where that is at hand."""


@dataclass(frozen=True)
class Judged:
    """A sound that may be a copy."""

    name: str
    mel: Tensor
    """[T, M], floored."""
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
class Yardstick:
    """The corpus to compare with, and what is to be expected of sounds that were not copied from it."""

    corpus: Corpus
    known: KnownCodes
    null: Null
    """Of scores."""
    recording_scores: Values
    """[recordings] scores, and farness, of each recording of the null."""
    recording_farness: Values
    centres: Values
    """[shares] middle of the null at each share of a piece, and the spread of its lower half."""
    spreads: Values
    longest_run: int
    """Positions of the longest run of all levels among the null's pieces."""
    levels: int

    @classmethod
    def of(cls, corpus: Corpus, train: Sequence[Known], held_out: Sequence[Known]) -> "Yardstick":
        """Measure the null."""
        recordings = [*train, *held_out]
        cut = _null_pieces(recordings)
        found = compared(corpus, [piece for _, piece in cut])
        owners = [name for name, _ in cut]
        values = np.array([[match.unexplained for match in each.matches] for each in found])
        nulls = [Null.of(list(column), owners) for column in values.T]
        centres = np.array([null.quantile(0.5) for null in nulls])
        spreads = np.array([_lower_spread(null, centre) for null, centre in zip(nulls, centres, strict=True)])
        scores = ((values - centres) / spreads).min(1)
        farness = np.array([each.farness for each in found])
        known = KnownCodes([each.codes.numpy() for each in train], [each.group for each in train])
        levels = train[0].codes.shape[1]
        runs = [_run_of(known, each.codes, each.mels[0], levels, each.group) for each in recordings[:MOST_NULL_PIECES]]
        names = sorted(set(owners))
        by_name = {name: [i for i, owner in enumerate(owners) if owner == name] for name in names}
        return cls(
            corpus,
            known,
            Null.of(list(scores), owners),
            np.array([scores[by_name[name]].mean() for name in names]),
            np.array([farness[by_name[name]].mean() for name in names]),
            centres,
            spreads,
            max((run.positions for run in runs), default=0),
            levels,
        )

    def score(self, each: Compared) -> tuple[float, Match]:
        """How near a piece is, and by which stretch."""
        scores = (np.array([match.unexplained for match in each.matches]) - self.centres) / self.spreads
        best = int(scores.argmin())
        return float(scores[best]), each.matches[best]

    def measure(self, sounds: Iterable[Judged]) -> Iterator[SoundNovelty]:
        """Measure sounds one after the other; `copied` is decided when all are known."""
        waiting = iter(sounds)
        while some := list(islice(waiting, AT_ONCE)):
            cut = [list(pieces(Heard(sound.name, sound.mel))) for sound in some]
            found = iter(compared(self.corpus, [piece for each in cut for piece in each]))
            for sound, mine in zip(some, cut, strict=True):
                yield self._novelty(sound, mine, list(islice(found, len(mine))))

    def _novelty(self, sound: Judged, mine: Sequence[Heard], found: Sequence[Compared]) -> SoundNovelty:
        scored = [(*self.score(each), piece) for each, piece in zip(found, mine, strict=True)]
        score, match, piece = min(scored, key=lambda each: each[0])
        p = min(1.0, len(scored) * float(self.null.p(np.array([score]))[0]))
        run = _run_of(self.known, sound.codes, sound.mel, self.levels)
        coarse = _run_of(self.known, sound.codes, sound.mel, 1)
        return SoundNovelty(
            name=sound.name,
            seconds=seconds_of(len(sound.mel)),
            copied=False,
            p=p,
            score=score,
            unexplained=float(np.exp(match.unexplained)),
            nearest=self.corpus.sounds[match.sound].name,
            nearest_seconds=max(0.0, seconds_of(match.frame)),
            at_seconds=seconds_of(piece.begins_frame + match.begins),
            run_seconds=positions_in_seconds(run.positions),
            coarse_run_seconds=positions_in_seconds(coarse.positions),
            covered=coarse.covered,
            aligned=coarse.aligned,
            farness=float(np.mean([each.farness for each in found])),
        )


def corpus_of(train: Sequence[Known], spectrogram: object) -> Corpus:
    """The training files, each as often as there are log-mels of it."""
    heard = [Heard(each.name, mel, each.group) for each in train for mel in each.mels]
    return Corpus(heard, spectrogram)  # type: ignore[arg-type]


def compared(corpus: Corpus, cut: Sequence[Heard]) -> list[Compared]:
    """Pieces with a corpus, so many at once that memory does not grow."""
    return [each for first in range(0, len(cut), AT_ONCE) for each in corpus.compare(cut[first : first + AT_ONCE])]


def _null_pieces(recordings: Sequence[Known]) -> list[tuple[str, Heard]]:
    """Pieces of recordings, in each of their log-mels, with the recording's name."""
    versions = sum(len(each.mels) for each in recordings)
    allowed = max(1, min(PIECES_OF_A_FILE, MOST_NULL_PIECES // max(1, versions)))
    step = -(-versions // MOST_NULL_PIECES)
    cut = []
    for recording in recordings[::step]:
        for mel in recording.mels:
            found = list(pieces(Heard(recording.name, mel, recording.group)))
            chosen = np.unique(np.linspace(0, len(found) - 1, min(allowed, len(found))).round().astype(int))
            cut += [(recording.name, found[i]) for i in chosen]
    return cut


def _lower_spread(null: Null, centre: float) -> float:
    lower = null.values < centre
    if not lower.any():
        return 1.0
    return max(0.1, float(np.sqrt(np.average((null.values[lower] - centre) ** 2, weights=null.weights[lower]))))


def _run_of(known: KnownCodes, codes: Tensor, mel: Tensor, levels: int, group: int = -1) -> Run:
    if not len(codes):
        return NO_RUN
    loud = loud_columns(mel, len(codes) // BANDS).numpy()
    return known.longest(codes.numpy(), loud, levels, group)
