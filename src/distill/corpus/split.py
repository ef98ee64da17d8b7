"""Which files are the same recording, and which side of the split each recording is on. No torch."""

import hashlib
from collections.abc import Sequence

import numpy as np

from distill.corpus.fingerprint import SAME_BELOW_DB, Fingerprint, distances_db

VAL_SHARE = 0.15


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
    smallest: dict[int, str] = {}
    for value, number in zip(hashes, groups, strict=True):
        smallest[number] = min(value, smallest.get(number, value))
    if len(smallest) < 2:
        raise ValueError("one group cannot be split")
    ranked = sorted(smallest, key=lambda number: hashlib.sha256(b"split:" + smallest[number].encode()).hexdigest())
    return set(ranked[: max(1, round(VAL_SHARE * len(ranked)))])
