"""The sounds of a corpus, memory-mapped from the cache, so memory does not grow with it.

A piece of a long recording has no place of its own in the cache: it is cut out of the recording's sound when it is asked
for, and its spectrogram is made of nothing else, so that the next onset is not heard before it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from distill.audio.reading import UnusableSound, decode_planes
from distill.corpus.cache import SoundCache, SoundFacts, file_sha256
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.errors import DistillError
from distill.settings.geometry import SpectrogramConfig


class Corpus:
    """The sounds of a manifest, memory-mapped from the cache."""

    def __init__(self, manifest: CorpusManifest, spectrogram: SpectrogramConfig, paths: dict[str, Path]) -> None:
        """`paths`: where each file is or was, by `CorpusFile.source`, for when the cache was deleted; of those that are gone
        nothing."""
        self.manifest = manifest
        self.spectrogram = spectrogram
        self._cache = SoundCache(spectrogram)
        self.paths = paths
        self._recording: tuple[str, IO[bytes], npt.NDArray[np.float32]] | None = None

    def has(self, file: CorpusFile) -> bool:
        """Whether its sound is there, or in the cache."""
        return file.source in self.paths or self._cache.facts(file.sha256) is not None

    def mel(self, file: CorpusFile) -> npt.NDArray[np.float16]:
        """[T, M] dB, frames first.

        Raises:
            DistillError: it is neither in the cache nor can be made again from the file.
        """
        if file.span is None:
            return self._cache.mel(file.sha256, self._stored(file))

        from distill.audio.mel import log_mel_of

        piece, peak = self._piece(file)
        mel = log_mel_of(piece * np.float32(peak), self.spectrogram)
        return np.ascontiguousarray(mel.T.numpy().astype(np.float16))

    def audio(self, file: CorpusFile) -> tuple[npt.NDArray[np.float16], float]:
        """[N] samples at 48 kHz divided by the peak of the whole file, and that peak.

        Raises:
            DistillError: it is neither in the cache nor can be made again from the file.
        """
        if file.span is None:
            facts = self._stored(file)
            return self._cache.audio(file.sha256, facts), facts.peak
        piece, peak = self._piece(file)
        return piece.astype(np.float16), peak

    def side(self, file: CorpusFile) -> npt.NDArray[np.float16] | None:
        """Half of what the left has more than the right, [N], divided by what `audio` is divided by; None: there is no
        stereo image.

        Raises:
            DistillError: as `audio`.
        """
        side = self._cache.side(file.sha256, self._stored(file)) if file.stereo else None
        if side is None or file.span is None:
            return side
        return _cut(file, side).astype(np.float16)

    def planes(self, file: CorpusFile) -> npt.NDArray[np.float32]:
        """The file itself, [1, N], the middle, or [2, N], middle and side: not rounded for the cache.

        Raises:
            DistillError: the file is gone or has changed.
        """
        if file.span is None:
            whole = np.concatenate(list(self._decoded_file(file)))
            return np.ascontiguousarray(whole[:, : 2 if file.stereo else 1].T)
        recording = self._decoded_recording(file)
        return np.stack([_cut(file, plane) for plane in recording.T[: 2 if file.stereo else 1]])

    def decoded(self, file: CorpusFile) -> Iterator[npt.NDArray[np.float32]]:
        """The file itself, [n] samples at 48 kHz at a time: what `audio` is before it is rounded for the cache.

        Raises:
            DistillError: the file is gone or has changed.
        """
        if file.span is None:
            yield from (block[:, 0] for block in self._decoded_file(file))
        else:
            yield _cut(file, self._decoded_recording(file)[:, 0])

    def _piece(self, file: CorpusFile) -> tuple[npt.NDArray[np.float32], float]:
        facts = self._stored(file)
        return _cut(file, self._cache.audio(file.sha256, facts)), facts.peak

    def _decoded_recording(self, file: CorpusFile) -> npt.NDArray[np.float32]:
        """All of the recording that a piece is of, [N, planes], decoded once for all pieces that are asked for one after
        another."""
        if self._recording is None or self._recording[0] != file.sha256:
            stream = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is mapped
            planes = 1
            for block in self._decoded_file(file):
                planes = block.shape[1]
                stream.write(np.ascontiguousarray(block, dtype=np.float32).tobytes())
            stream.flush()
            decoded = np.memmap(stream, dtype=np.float32, mode="r").reshape(-1, planes)
            self._recording = file.sha256, stream, decoded
        return self._recording[2]

    def _decoded_file(self, file: CorpusFile) -> Iterator[npt.NDArray[np.float32]]:
        path = self.paths[file.source]
        if not has_content(path, file.sha256):
            raise DistillError(f"{path} is gone or has changed: put it back, or scan the folder again.")
        try:
            yield from decode_planes(path)
        except UnusableSound as reason:
            raise DistillError(f"{path} can no longer be read, {reason}: scan the folder again.") from reason

    def _stored(self, file: CorpusFile) -> SoundFacts:
        facts = self._cache.facts(file.sha256)
        if facts is not None:
            return facts
        path = self.paths[file.source]
        if not has_content(path, file.sha256):
            raise DistillError(
                f"{path} is gone or has changed, and so is its copy in the cache: put it back, or scan the folder again."
            )
        return read_into_cache(self._cache, file, path)


def _cut(file: CorpusFile, recording: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    from distill.corpus.slice import cut

    assert file.span is not None
    if file.span[1] > len(recording):
        raise DistillError(f"{file.name} ends after its recording does: the model's list of sounds is damaged.")
    return cut(recording, file.span)


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
