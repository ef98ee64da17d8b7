"""Decoded sounds and their mels on the disk, by the hash of their file. Safe to delete."""

import hashlib
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from distill.audio.reading import decode_planes
from distill.corpus.fingerprint import Fingerprint, fingerprint, fingerprint_shape
from distill.errors import DistillError
from distill.files import cannot_write, replacing
from distill.places import cache_dir
from distill.settings.geometry import SpectrogramConfig
from distill.settings.knobs import Frozen

LAYOUT = 2
"""Part of the folder's name: raised when what is stored changes, so that old entries are not read."""
BLOCK = 2**20
HASH_PATTERN = "^[0-9a-f]{64}$"
Span = tuple[int, int]
_SPANS: TypeAdapter[list[Span]] = TypeAdapter(list[Span])


class SoundFacts(Frozen):
    """What is known of a decoded sound."""

    samples: int = Field(ge=1)
    """Of the mono mix at 48 kHz."""
    native_rate: int = Field(ge=1)
    channels: int = Field(ge=1)
    peak: float = Field(gt=0.0, allow_inf_nan=False)
    audio_sha256: str = Field(pattern=HASH_PATTERN)
    """Of the decoded sound, levelled to a peak of 1."""
    notes: tuple[str, ...] = ()
    """What is to be known of how the file was read."""
    stereo: bool | None = None
    """Whether it has a stereo image, and so a side; None: kept before that was looked at."""


class SoundCache:
    """Audio, mel and fingerprint of sounds; files are replaced whole, so that processes may share the cache."""

    def __init__(self, spectrogram: SpectrogramConfig) -> None:
        self.spectrogram = spectrogram
        self._mel_name = f"mel-{hashlib.sha256(spectrogram.model_dump_json().encode()).hexdigest()[:16]}.f16"
        self._root = cache_dir() / f"sounds-{LAYOUT}"

    def facts(self, sha256: str) -> SoundFacts | None:
        """The facts of a sound if all of it is in the cache, undamaged as far as sizes tell; else None."""
        entry = self._entry(sha256)
        try:
            facts = SoundFacts.model_validate_json((entry / "facts.json").read_bytes())
            whole = (
                (entry / "audio.f16").stat().st_size == 2 * facts.samples
                and (entry / self._mel_name).stat().st_size == 2 * int(np.prod(self._mel_shape(facts)))
                and (facts.channels == 1 or facts.stereo is not None)
                and (not facts.stereo or (entry / "side.f16").stat().st_size == 2 * facts.samples)
                and (entry / "fingerprint.f16").stat().st_size == 2 * int(np.prod(fingerprint_shape()))
            )
        except (OSError, ValidationError):
            return None
        return facts if whole else None

    def store(self, sha256: str, source: Path) -> SoundFacts:
        """Decode `source`, block by block, and keep everything made of it.

        Raises:
            UnusableSound: the file cannot be used.
            DistillError: the cache cannot be written.
        """
        entry = self._entry(sha256)
        try:
            entry.mkdir(parents=True, exist_ok=True)
            # The peak is known only at the end, so the sound waits in a nameless file before it is levelled.
            with tempfile.TemporaryFile(dir=entry) as waiting, tempfile.TemporaryFile(dir=entry) as beside:
                facts = self._decode(source, waiting, beside, entry)
        except OSError as error:
            raise DistillError(f"{cannot_write(self._root, error)} DISTILL_CACHE says where the cache is.") from error
        return facts

    def _decode(self, source: Path, waiting: IO[bytes], beside: IO[bytes], entry: Path) -> SoundFacts:
        # torch takes seconds to import; mistakes in the folder are told before.
        from distill.audio.mel import log_mel_blocks

        decoding = decode_planes(source)
        try:
            while True:
                block = next(decoding)
                waiting.write(block[:, 0].tobytes())
                beside.write(block[:, 1:].tobytes())
        except StopIteration as end:
            info = end.value
        waiting.flush()
        beside.flush()
        if info.stereo:
            side = np.memmap(beside, dtype=np.float32, mode="r", shape=(info.samples,))
            with replacing(entry / "side.f16") as stream:
                for start in range(0, len(side), BLOCK):
                    stream.write((side[start : start + BLOCK] / np.float32(info.peak)).astype("<f2").tobytes())
        samples = np.memmap(waiting, dtype=np.float32, mode="r", shape=(info.samples,))
        digest = hashlib.sha256()
        with replacing(entry / "audio.f16") as stream:
            for start in range(0, len(samples), BLOCK):
                levelled = (samples[start : start + BLOCK] / np.float32(info.peak)).astype("<f2").tobytes()
                digest.update(levelled)
                stream.write(levelled)
        with replacing(entry / self._mel_name) as stream:
            for mel in log_mel_blocks(samples, self.spectrogram):
                stream.write(np.ascontiguousarray(mel.numpy().T, dtype="<f2").tobytes())
        with replacing(entry / "fingerprint.f16") as stream:
            stream.write(fingerprint(samples).astype("<f2").tobytes())
        facts = SoundFacts(
            samples=info.samples,
            native_rate=info.native_rate,
            channels=info.channels,
            peak=info.peak,
            audio_sha256=digest.hexdigest(),
            notes=info.notes,
            stereo=info.stereo,
        )
        with replacing(entry / "facts.json") as stream:
            stream.write(facts.model_dump_json().encode())
        return facts

    def audio(self, sha256: str, facts: SoundFacts) -> npt.NDArray[np.float16]:
        """[N] samples at 48 kHz divided by the peak, memory-mapped."""
        return np.memmap(self._entry(sha256) / "audio.f16", dtype="<f2", mode="r", shape=(facts.samples,))

    def side(self, sha256: str, facts: SoundFacts) -> npt.NDArray[np.float16] | None:
        """Half of what the left has more than the right, [N], as `audio` is; None where there is no stereo image."""
        if not facts.stereo:
            return None
        return np.memmap(self._entry(sha256) / "side.f16", dtype="<f2", mode="r", shape=(facts.samples,))

    def mel(self, sha256: str, facts: SoundFacts) -> npt.NDArray[np.float16]:
        """[T, M] dB, memory-mapped."""
        return np.memmap(self._entry(sha256) / self._mel_name, dtype="<f2", mode="r", shape=self._mel_shape(facts))

    def spans(self, sha256: str, facts: SoundFacts) -> list[Span]:
        """The pieces that a sound is cut into: found once, then kept."""
        from distill.corpus.slice import VERSION, slices

        path = self._entry(sha256) / f"slices-{VERSION}.json"
        try:
            return _SPANS.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            found = slices(self.audio(sha256, facts))
            with replacing(path) as stream:
                stream.write(_SPANS.dump_json(found))
            return found

    def fingerprint(self, sha256: str) -> Fingerprint:
        """What near-duplicates are recognised by."""
        return np.fromfile(self._entry(sha256) / "fingerprint.f16", dtype="<f2").reshape(fingerprint_shape())

    def _mel_shape(self, facts: SoundFacts) -> tuple[int, int]:
        return self.spectrogram.frames(facts.samples), self.spectrogram.n_mels

    def _entry(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256


def file_sha256(path: Path) -> str:
    """The content hash of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
