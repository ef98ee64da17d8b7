"""Which files are the same recording, and which side of the split each recording is on. No torch."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from distill.corpus.fingerprint import SAME_BELOW_DB, Fingerprint, distances_db
from distill.settings.geometry import SAMPLE_RATE

VAL_SHARE = 0.15
WHOLE_RECORDINGS_SHARE = (0.05, 1 / 3)
"""Whole recordings are held out if that is between these shares of all sound; else it is too little to judge by, or too
much to do without."""
GAP_SECONDS = 2.0
"""What lies nearer than this to a held-out stretch of its own recording is neither learned from nor judged by: a note
that rings on, a room that does."""
STRETCH_EVERY_SECONDS, MOST_STRETCHES = 150.0, 4
"""A recording has a held-out stretch for so much sound, and so many at most: different parts are judged, few gaps lost."""
WORTH_SPLITTING_SECONDS = 20.0
"""Of a recording with less sound, the gaps would leave too little; it is learned from where another can be split."""

Span = tuple[int, int]
"""First sample and the one after the last, at 48 kHz."""


def group(content: Sequence[tuple[str, str]], fingerprints: Sequence[Fingerprint]) -> list[int]:
    """The group of each file, numbered from 0 in the order of first appearance.

    Args:
        content: for each file the hash of its bytes and the hash of its decoded sound; equal ones are duplicates.
        fingerprints: one for each file; near ones are near-duplicates.
    """
    parent = list(range(len(content)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, hashes in enumerate(content):
        for value in hashes:
            parent[root(index)] = root(first.setdefault(value, index))
    for one, other in zip(*np.nonzero(np.triu(distances_db(fingerprints) < SAME_BELOW_DB, k=1)), strict=True):
        parent[root(int(one))] = root(int(other))
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(len(parent))]


def held_out(hashes: Sequence[str], groups: Sequence[int]) -> set[int]:
    """The groups that are held out for validation, at least one and never all.

    From content alone: a group's rank is a hash of its smallest content hash, so names, order and place do not
    matter, and one more file changes the side of few others.

    Raises:
        ValueError: there are fewer than two groups.
    """
    ranked = _ranked(hashes, groups)
    if len(ranked) < 2:
        raise ValueError("one group cannot be split")
    return set(ranked[: max(1, round(VAL_SHARE * len(ranked)))])


def held_out_of_new(hashes: Sequence[str], groups: Sequence[int], old: int, old_held_out: int) -> set[int]:
    """The groups that are held out of those that join a corpus: as many as bring its share of them to `VAL_SHARE`, but not
    all, so that there is something new to learn from.

    Args:
        old: groups that the corpus has, of which `old_held_out` are held out.
    """
    ranked = _ranked(hashes, groups)
    most = len(ranked) - bool(old_held_out)
    return set(ranked[: min(most, max(0, round(VAL_SHARE * (old + len(ranked))) - old_held_out))])


def _ranked(hashes: Sequence[str], groups: Sequence[int]) -> list[int]:
    """Groups in the order in which they are held out."""
    smallest: dict[int, str] = {}
    for value, number in zip(hashes, groups, strict=True):
        smallest[number] = min(value, smallest.get(number, value))
    return sorted(smallest, key=lambda number: hashlib.sha256(b"split:" + smallest[number].encode()).hexdigest())


def whole_recordings(hashes: Sequence[str], groups: Sequence[int], seconds: Sequence[float]) -> set[int] | None:
    """As `held_out`, where recordings are so long and few that one of them can be most of the corpus.

    Of fewer than 5 groups the one whose share of the sound is nearest to `VAL_SHARE`.

    Args:
        seconds: how much of each file is sound.

    Returns:
        None if no whole recording can be spared, or too little would be held out: split by time then.
    """
    total = dict.fromkeys(groups, 0.0)
    for number, length in zip(groups, seconds, strict=True):
        total[number] += length
    if len(total) < 2:
        return None
    everything = sum(total.values())
    if len(total) < 5:
        ranks = {number: value for value, number in sorted(zip(hashes, groups, strict=True), reverse=True)}
        chosen = {min(total, key=lambda number: (abs(total[number] / everything - VAL_SHARE), ranks[number]))}
    else:
        chosen = held_out(hashes, groups)
    low, high = WHOLE_RECORDINGS_SHARE
    return chosen if low <= sum(total[number] for number in chosen) / everything <= high else None


def held_out_stretches(pieces: Sequence[Span]) -> list[Span]:
    """The stretches of a recording that are held out, about `VAL_SHARE` of the sound in it, evenly spread over it.

    Each is the middle of one of as many equal parts of its sound: beginnings and ends of recordings are unlike the rest.

    Args:
        pieces: the recording's, in order.
    """
    lengths = np.array([stop - start for start, stop in pieces], dtype=np.float64)
    middles = (np.cumsum(lengths) - lengths / 2) / lengths.sum()
    parts = int(np.clip(lengths.sum() / SAMPLE_RATE / STRETCH_EVERY_SECONDS, 1, MOST_STRETCHES))
    stretches = []
    for part in range(parts):
        away = np.abs(middles * parts - part - 0.5)
        inside = np.flatnonzero(away <= max(VAL_SHARE / 2, float(away.min())))
        stretches.append((pieces[int(inside[0])][0], pieces[int(inside[-1])][1]))
    return stretches


def side(piece: Span, stretches: Sequence[Span]) -> Literal["train", "val"] | None:
    """Where a piece belongs, given the held-out stretches of its recording, in order; None: in the gap beside one."""
    gap = round(GAP_SECONDS * SAMPLE_RATE)
    start, stop = piece
    for first, last in stretches:
        if first <= start and stop <= last:
            return "val"
        if start < last + gap and stop > first - gap:
            return None
    return "train"
