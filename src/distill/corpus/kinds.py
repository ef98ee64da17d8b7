"""Kinds: the words that a corpus has for groups of its sounds. No torch.

They are what the musician called them: sub-folders, else what file names begin with. A corpus without such words is divided
by how its sounds are spread over frequency, and each group is named after its most typical file.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist

from distill.corpus.manifest import PIECE_MARK

LEAST_FILES = 4
"""A word stands for a kind where so many files have it."""
MOST_KINDS = 64
NAMED_SHARE = 0.5
"""Prefixes are words where at least this share of the files has one that repeats."""
CLUSTERS = (4, 8)
FILES_PER_CLUSTER = 8
MOST_CLUSTERED = 2_000
"""Files that clusters are found among; others go to the nearest."""
RANGE_DB = 40.0
"""Bands further under a sound's mean band count alike."""
LONGEST_NAME = 40
LONGEST_NUMBER = 2
"""Digits of a number that may be a name; longer ones are dates and counters."""

Mels = npt.NDArray[np.floating]
Parts = tuple[str, ...]
TOKEN = re.compile(r"\d+|[^\d\s]+")
CAMEL = re.compile(r"(?<=[a-zß-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])")


class Kinds(NamedTuple):
    """The kinds of a corpus."""

    names: tuple[str, ...]
    """Unique, lower case; at most 64."""
    of_file: tuple[int | None, ...]
    """Which kind each file is, in the order they were given; None: no word stands for it."""
    source: Literal["folders", "prefixes", "clusters"]
    """Where the names come from."""


def find_kinds(names: Sequence[str], mean_mels: Mels, seed: int = 0) -> Kinds:
    """The kinds of a corpus; the same for the same files in the same order.

    Args:
        names: paths relative to the corpus folder, with slashes, as `CorpusFile.name`.
        mean_mels: [F, M] of each file in dB, as `mean_mel`; needed where names say nothing only.
        seed: which files clusters are found among, where there are very many.
    """
    paths = [PurePosixPath(name.partition(PIECE_MARK)[0]) for name in names]
    mels = np.asarray(mean_mels, dtype=np.float64)
    folders = _nearest_repeated(_unwrapped([path.parts[:-1] for path in paths]))
    prefixes = _prefixes(_unwrapped([_words(path.stem) for path in paths]), mels)
    if any(folders) and (_covered(folders) >= NAMED_SHARE or not any(prefixes)):
        return _kinds(folders, "folders")
    if any(prefixes):
        return _kinds(prefixes, "prefixes")
    return _clustered([path.stem for path in paths], mels, seed)


def mean_mel(mel: Mels) -> npt.NDArray[np.float32]:
    """Log-mel [T, M] in dB -> the mean power of each band in dB, [M]."""
    power = 10.0 ** (np.asarray(mel, dtype=np.float64) / 10.0)
    decibels: npt.NDArray[np.float32] = 10.0 * np.log10(np.maximum(power.mean(axis=0), 1e-30))
    return decibels.astype(np.float32)


def nearest_kind(sound: Mels, mean_mels: Mels, kinds: Kinds) -> int | None:
    """The kind of the training file whose spread over frequency is nearest to a sound's [M]; loudness does not count.

    Args:
        mean_mels: [F, M] of the files that `kinds` is of.

    Returns:
        None where no file has a kind.
    """
    named = [index for index, kind in enumerate(kinds.of_file) if kind is not None]
    if not named:
        return None
    distances = cdist(_features(np.asarray(sound)[None]), _features(np.asarray(mean_mels)[named]))
    return kinds.of_file[named[int(distances.argmin())]]


def _unwrapped(paths: Sequence[Parts]) -> list[Parts]:
    """Without the beginning that all have: it tells no file from another."""
    shortest = min(map(len, paths), default=0)
    common = 0
    while common < shortest and len({path[common].lower() for path in paths}) == 1:
        common += 1
    return [path[common:] for path in paths]


def _words(stem: str) -> Parts:
    """`Kick Hard_03` -> Kick, Hard, 03."""
    plain = CAMEL.sub(" ", unicodedata.normalize("NFC", stem))
    return tuple(TOKEN.findall("".join(sign if _is_of_words(sign) else " " for sign in plain)))


def _is_of_words(sign: str) -> bool:
    """A letter, a mark on one, or a digit, of any script."""
    return unicodedata.category(sign)[0] in "LMN"


def _prefixes(words: Sequence[Parts], mean_mels: Mels) -> list[Parts]:
    """What each file is called by the words in front, up to the first number; all () where that says little.

    A number in front counts files (`07_kick_a`), but may be a name (`7_jackson_2`): where both numbers and words stand for
    many files, it is what says more of how they sound.
    """
    plain = [_until_number(each) for each in _unwrapped([_after_number(each) for each in words])]
    numbered = [
        (each[0], *rest) if each and _may_be_name(each[0]) else rest for each, rest in zip(words, plain, strict=True)
    ]
    found = [_nearest_repeated(each) for each in (plain, numbered)]
    useful = [each for each in found if len(set(filter(None, each))) > 1 and _covered(each) >= NAMED_SHARE]
    return max(useful, key=lambda each: _told(each, mean_mels)) if useful else [()] * len(words)


def _may_be_name(word: str) -> bool:
    return word.isdecimal() and len(word) <= LONGEST_NUMBER


def _after_number(words: Parts) -> Parts:
    return next((words[place:] for place, word in enumerate(words) if not word.isdecimal()), ())


def _until_number(words: Parts) -> Parts:
    return next((words[:place] for place, word in enumerate(words) if word.isdecimal()), words)


def _covered(found: Sequence[Parts]) -> float:
    """The share of files that have a name."""
    return sum(map(bool, found)) / len(found)


def _told(found: Sequence[Parts], mean_mels: Mels) -> float:
    """How much names say of how files sound, in bits: how often the nearest other file has the same, beyond chance."""
    named = [file for file, name in enumerate(found) if name][:MOST_CLUSTERED]
    names = [found[file] for file in named]
    distances = cdist(*(_features(mean_mels[named]),) * 2)
    np.fill_diagonal(distances, np.inf)
    same = np.mean([names[int(near)] == name for near, name in zip(distances.argmin(axis=1), names, strict=True)])
    chance = sum((count / len(names)) ** 2 for count in Counter(names).values())
    return float((same - chance) / (1.0 - chance) * np.log2(1.0 / chance))


def _nearest_repeated(paths: Sequence[Parts]) -> list[Parts]:
    """The longest beginning of each path that at least `LEAST_FILES` paths have, in small letters; () where there is none."""
    plain = [tuple(unicodedata.normalize("NFC", part).lower() for part in path) for path in paths]
    counts = Counter(path[:length] for path in plain for length in range(1, len(path) + 1))
    return [
        next((path[:length] for length in range(len(path), 0, -1) if counts[path[:length]] >= LEAST_FILES), ())
        for path in plain
    ]


def _kinds(found: Sequence[Parts], source: Literal["folders", "prefixes"]) -> Kinds:
    """Kinds of what each file is called, the commonest where there are too many, in alphabetical order."""
    counts = Counter(path for path in found if path)
    kept = sorted(sorted(counts, key=lambda path: (-counts[path], path))[:MOST_KINDS])
    place = _names(kept, last=source == "folders")
    order = sorted(place.values())
    return Kinds(tuple(order), tuple(order.index(place[path]) if path in place else None for path in found), source)


def _names(paths: Sequence[Parts], last: bool) -> Mapping[Parts, str]:
    """A name for each path, unlike the others: its last part where that is enough and `last`, else all of it."""
    same_end = len(paths) > 1 and all(
        len(path) > 1 and path[-1] == paths[0][-1] for path in paths
    )  # kicks/wav, snares/wav
    parts = {path: path[:-1] if last and same_end else path for path in paths}
    short = {path: safe_name(part[-1] if last else "_".join(part)) for path, part in parts.items()}
    times = Counter(short.values())
    named: dict[Parts, str] = {}
    for path, part in parts.items():
        whole = short[path] if times[short[path]] == 1 else safe_name("_".join(part))
        named[path] = _unlike(whole, named.values())
    return named


def _unlike(name: str, others: Iterable[str]) -> str:
    taken, number, made = set(others), 2, name
    while made in taken:
        made, number = f"{name}_{number}", number + 1
    return made


def safe_name(text: str) -> str:
    """Small letters and digits of any script, everything else an underscore: fit for a flag and for a file's name."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).lower())
    spaced = "".join(sign if _is_of_words(sign) or sign == "-" else "_" for sign in plain)
    return re.sub("_+", "_", spaced)[:LONGEST_NAME].strip("_-") or "sounds"


def _features(mels: Mels) -> npt.NDArray[np.float64]:
    """Mean mels [F, M] -> dB over what is too soft to count, whatever the loudness."""
    levels = np.asarray(mels, dtype=np.float64)
    mean_db = 10.0 * np.log10((10.0 ** (levels / 10.0)).mean(axis=1, keepdims=True))
    features: npt.NDArray[np.float64] = np.maximum(levels - mean_db, -RANGE_DB)
    return features


def _clustered(stems: Sequence[str], mean_mels: Mels, seed: int) -> Kinds:
    """4 to 8 clusters by Ward's method, each named after the file nearest to its middle; none where files are too few."""
    files = len(stems)
    wanted = min(max(files // FILES_PER_CLUSTER, CLUSTERS[0]), CLUSTERS[1])
    if files < CLUSTERS[0] * 2:
        return Kinds((), (None,) * files, "clusters")
    features = _features(mean_mels)
    chosen = np.arange(files)
    if files > MOST_CLUSTERED:
        chosen = np.sort(np.random.default_rng(seed).choice(files, MOST_CLUSTERED, replace=False))
    tree = linkage(features[chosen], "ward")
    centres = _large_clusters(tree, features[chosen], wanted)
    distances = cdist(features, centres)
    nearest = distances.argmin(axis=1)
    typical = [int(np.where(nearest == place, distances[:, place], np.inf).argmin()) for place in range(len(centres))]
    names: list[str] = []
    for file in typical:
        names.append(_unlike(safe_name(stems[file]), names))
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = {cluster: place for place, cluster in enumerate(order)}
    return Kinds(tuple(names[cluster] for cluster in order), tuple(rank[int(one)] for one in nearest), "clusters")


def _large_clusters(tree: npt.NDArray[np.float64], features: Mels, wanted: int) -> npt.NDArray[np.float64]:
    """The centres [K, M] of at most `wanted` clusters of at least `LEAST_FILES` files: smaller ones are no kinds.

    Where that makes fewer than there should be, one file less is enough.
    """
    best = np.zeros((0, features.shape[1]))
    for least in (LEAST_FILES, LEAST_FILES - 1):
        for count in range(1, min(4 * wanted, len(features)) + 1):
            labels = fcluster(tree, count, "maxclust")
            large = [label for label in np.unique(labels) if (labels == label).sum() >= least]
            if len(best) < len(large) <= wanted:
                best = np.stack([features[labels == label].mean(axis=0) for label in large])
        if len(best) >= CLUSTERS[0]:
            break
    return best
