"""Which sounds a model has not learned from: no training file, no copy of one, and none that is nearly one."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.audio.reading import UnusableSound
from distill.corpus.cache import SoundCache, file_sha256
from distill.corpus.fingerprint import SAME_BELOW_DB, Fingerprint, distances_db
from distill.corpus.manifest import CorpusManifest
from distill.corpus.sounds import has_content
from distill.events import Event, Progress
from distill.settings.geometry import SpectrogramConfig

COMPARED_AT_ONCE = 256
"""Strangers whose fingerprints are held beside those of the training files."""


@dataclass(frozen=True)
class Unseen:
    """What was found among sounds, by name."""

    held_out: dict[str, Path]
    """The model's own held-out files, by content hash."""
    strangers: dict[str, Path]
    """Others that it has not learned from, by name."""
    known: tuple[str, ...]
    """Training files, byte for byte."""
    copies: tuple[str, ...]
    """Copies of training files: the same sound in another file, or nearly."""
    unusable: dict[str, str]
    """Files that cannot be read as sounds, and why."""
    unchecked: int
    """Training files that are neither in the cache nor where they were: copies of those may be among `strangers`."""

    @property
    def any(self) -> bool:
        """Whether there is a sound to judge by."""
        return bool(self.held_out or self.strangers)


def unseen_sounds(
    manifest: CorpusManifest, candidates: Mapping[str, Path], spectrogram: SpectrogramConfig
) -> Generator[Event, None, Unseen]:
    """Divide sounds by whether a model with this corpus has learned from them.

    A held-out file of the corpus has been compared with the training files already, when they were divided into groups;
    any other is compared here, as `corpus.split.group` does.

    Raises:
        DistillError: the cache cannot be written.
    """
    cache = SoundCache(spectrogram)
    by_codec = {each.sha256 for each in manifest.forgotten if each.in_codec}
    train = {file.sha256 for file in manifest.train} | by_codec
    val = {file.sha256 for file in manifest.val}
    hashes: dict[str, str] = {}
    strangers: list[str] = []
    unusable: dict[str, str] = {}
    for done, (name, path) in enumerate(candidates.items(), start=1):
        try:
            sha256 = file_sha256(path)
            if sha256 not in train | val:
                if cache.facts(sha256) is None:
                    cache.store(sha256, path)
                strangers.append(name)
            hashes[name] = sha256
        except UnusableSound as reason:
            unusable[name] = str(reason)
        except OSError as error:
            unusable[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("reading sounds", done, len(candidates), name)
    copies: set[str] = set()
    unchecked = 0
    if strangers:
        places = {sha256: candidates[name] for name, sha256 in hashes.items()}
        known = yield from _training_files(manifest, cache, places)
        unchecked = len(train - by_codec) - len(known)
        copies = _near(cache, known, {name: hashes[name] for name in strangers})
    known_names = tuple(name for name, sha256 in hashes.items() if sha256 in train and sha256 not in val)
    return Unseen(
        held_out={sha256: candidates[name] for name, sha256 in hashes.items() if sha256 in val},
        strangers={name: candidates[name] for name in strangers if name not in copies},
        known=known_names,
        copies=tuple(sorted(copies)),
        unusable=unusable,
        unchecked=unchecked,
    )


def _training_files(
    manifest: CorpusManifest, cache: SoundCache, places: Mapping[str, Path]
) -> Generator[Event, None, list[str]]:
    """The content hashes of the training files that the cache has or can be given. `places`: where some are now."""
    found: list[str] = []
    files = {file.sha256: file for file in manifest.train}
    for done, (sha256, file) in enumerate(files.items(), start=1):
        with contextlib.suppress(UnusableSound):
            if cache.facts(sha256) is None:
                path = places.get(sha256, manifest.place(file.source))
                if has_content(path, sha256):
                    cache.store(sha256, path)
            if cache.facts(sha256) is not None:
                found.append(sha256)
        yield Progress("reading the model's own sounds", done, len(files), file.source)
    return found


def _near(cache: SoundCache, known: Sequence[str], strangers: Mapping[str, str]) -> set[str]:
    """The names of strangers (name -> content hash) that are nearly the same as one of the known."""
    reference: list[Fingerprint] = [cache.fingerprint(sha256) for sha256 in known]
    names = list(strangers)
    near: set[str] = set()
    for first in range(0, len(names) if known else 0, COMPARED_AT_ONCE):
        some = names[first : first + COMPARED_AT_ONCE]
        distances = distances_db([*reference, *(cache.fingerprint(strangers[name]) for name in some)])
        closest = distances[len(reference) :, : len(reference)].min(axis=1)
        near |= {name for name, distance in zip(some, closest, strict=True) if distance < np.float32(SAME_BELOW_DB)}
    return near
