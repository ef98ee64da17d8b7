"""The sounds of a corpus, memory-mapped from the cache, so memory does not grow with it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.audio.reading import UnusableSound, decode_blocks
from distill.corpus.cache import SoundCache, SoundFacts, file_sha256
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.errors import DistillError
from distill.settings.geometry import SpectrogramConfig


class Corpus:
    """The sounds of a manifest, memory-mapped from the cache."""

    def __init__(self, manifest: CorpusManifest, spectrogram: SpectrogramConfig, paths: dict[str, Path]) -> None:
        """`paths`: where each file is or was, by name, for when the cache was deleted."""
        self.manifest = manifest
        self.spectrogram = spectrogram
        self._cache = SoundCache(spectrogram)
        self._paths = paths

    def mel(self, file: CorpusFile) -> npt.NDArray[np.float16]:
        """[T, M] dB, frames first.

        Raises:
            DistillError: it is neither in the cache nor can be made again from the file.
        """
        return self._cache.mel(file.sha256, self._stored(file))

    def audio(self, file: CorpusFile) -> tuple[npt.NDArray[np.float16], float]:
        """[N] samples at 48 kHz divided by the peak, and the peak.

        Raises:
            DistillError: it is neither in the cache nor can be made again from the file.
        """
        facts = self._stored(file)
        return self._cache.audio(file.sha256, facts), facts.peak

    def decoded(self, file: CorpusFile) -> Iterator[npt.NDArray[np.float32]]:
        """The file itself, [n] samples at 48 kHz at a time: what `audio` is before it is rounded for the cache.

        Raises:
            DistillError: the file is gone or has changed.
        """
        path = self._paths[file.name]
        if not has_content(path, file.sha256):
            raise DistillError(f"{path} is gone or has changed: put it back, or scan the folder again.")
        try:
            yield from decode_blocks(path)
        except UnusableSound as reason:
            raise DistillError(f"{path} can no longer be read, {reason}: scan the folder again.") from reason

    def _stored(self, file: CorpusFile) -> SoundFacts:
        facts = self._cache.facts(file.sha256)
        if facts is not None:
            return facts
        path = self._paths[file.name]
        if not has_content(path, file.sha256):
            raise DistillError(
                f"{path} is gone or has changed, and so is its copy in the cache: put it back, or scan the folder again."
            )
        return read_into_cache(self._cache, file, path)


def read_into_cache(cache: SoundCache, file: CorpusFile, path: Path) -> SoundFacts:
    try:
        return cache.store(file.sha256, path)
    except UnusableSound as reason:
        raise DistillError(f"{path} can no longer be read, {reason}: scan the folder again.") from reason


def has_content(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and file_sha256(path) == sha256
    except OSError:
        return False
