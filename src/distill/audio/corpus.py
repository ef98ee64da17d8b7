"""A folder of sounds: what is in it, what was skipped and why, which files belong together, and the split.

`scan` reads a folder, `reopen` finds the same sounds again for the second stage. The manifest is kept in the
`.distill` file; sounds and mels stay in the cache and are memory-mapped, so memory does not grow with the corpus.
"""

import hashlib
import statistics
from collections.abc import Generator, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from distill.audio.cache import HASH_PATTERN, SoundCache, SoundFacts, file_sha256
from distill.audio.folder import SoundFolder, shown
from distill.audio.grouping import group, held_out
from distill.audio.io import MAX_CHANNELS, MAX_SECONDS, SAMPLE_RATE, UnusableSound, decode_blocks
from distill.auto import CorpusFacts
from distill.config import Frozen, SpectrogramConfig
from distill.errors import DistillError
from distill.events import Event, Progress, Warned

MIN_FILES = 5
NAMED_AT_MOST = 3
CROP_SAMPLES = 49_152
"""A crop: 96 frames of 512 samples."""
SPECTROGRAM = SpectrogramConfig()


class CorpusFile(Frozen):
    """One usable file."""

    name: str = Field(min_length=1, max_length=4096)
    """Path relative to the folder, with slashes."""
    sha256: str = Field(pattern=HASH_PATTERN)
    samples: int = Field(ge=1, le=(MAX_SECONDS + 1) * SAMPLE_RATE)
    """Of the mono mix at 48 kHz."""
    native_rate: int = Field(ge=1, le=1_000_000)
    channels: int = Field(ge=1, le=MAX_CHANNELS)
    peak: float = Field(gt=0.0, allow_inf_nan=False)
    group: int = Field(ge=0)
    split: Literal["train", "val"]

    @field_validator("name")
    @classmethod
    def _inside_the_folder(cls, name: str) -> str:
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
            raise ValueError("a file's name must be relative and stay inside the folder")
        return name

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / SAMPLE_RATE


class SkippedFile(Frozen):
    """One file that cannot be used, and why."""

    name: str = Field(max_length=4096)
    reason: str = Field(max_length=1000)


class CorpusManifest(Frozen):
    """Everything about a corpus but its sound."""

    folder: str
    files: tuple[CorpusFile, ...]
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def digest(self) -> str:
        """One hash for the content of all files, whatever their names."""
        return hashlib.sha256("\n".join(sorted(file.sha256 for file in self.files)).encode()).hexdigest()

    @property
    def train(self) -> tuple[CorpusFile, ...]:
        """The files that are learned from."""
        return tuple(file for file in self.files if file.split == "train")

    @property
    def val(self) -> tuple[CorpusFile, ...]:
        """The files that are held out."""
        return tuple(file for file in self.files if file.split == "val")

    @property
    def seconds(self) -> float:
        """Duration of all files."""
        return sum(file.seconds for file in self.files)

    def facts(self) -> CorpusFacts:
        """What automatic settings depend on."""
        return CorpusFacts(
            files=len({file.group for file in self.files}),
            seconds=sum(file.seconds for file in self.train),
            crops=sum(-(-file.samples // CROP_SAMPLES) for file in self.train),
            median_seconds=statistics.median(file.seconds for file in self.train),
        )


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
        if not _holds(path, file.sha256):
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
        if not _holds(path, file.sha256):
            raise DistillError(
                f"{path} is gone or has changed, and so is its copy in the cache: put it back, or scan the folder again."
            )
        return _store(self._cache, file, path)


def scan(folder: Path, spectrogram: SpectrogramConfig = SPECTROGRAM) -> Generator[Event, None, Corpus]:
    """Read all sounds of a folder into the cache, group near-duplicates, and split. Returns the `Corpus`.

    Raises:
        DistillError: no such folder, or too little in it to learn from.
    """
    found = SoundFolder(folder)
    if not found.sounds:
        raise DistillError(
            f"There is no sound in {folder}: it needs at least {MIN_FILES} files such as .wav, .flac or .mp3."
        )
    cache = SoundCache(spectrogram)
    skipped = dict(found.skipped)
    usable: dict[str, tuple[str, SoundFacts]] = {}
    for done, (name, path) in enumerate(found.sounds.items(), start=1):
        try:
            sha256 = file_sha256(path)
            usable[name] = sha256, cache.facts(sha256) or cache.store(sha256, path)
        except UnusableSound as reason:
            skipped[name] = str(reason)
        except OSError as error:
            skipped[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("reading sounds", done, len(found.sounds), name)
    if len(usable) < MIN_FILES:
        raise DistillError(_too_few(folder, usable=len(usable), skipped=skipped))
    manifest = _split(found.root, cache, usable, skipped)
    return Corpus(manifest, spectrogram, {name: found.sounds[name] for name in usable})


def _split(
    root: Path, cache: SoundCache, usable: dict[str, tuple[str, SoundFacts]], skipped: dict[str, str]
) -> CorpusManifest:
    hashes = [sha256 for sha256, _ in usable.values()]
    content = [(sha256, facts.audio_sha256) for sha256, facts in usable.values()]
    groups = group(content, [cache.fingerprint(sha256) for sha256 in hashes])
    if len(set(groups)) < 2:
        raise DistillError(
            f"All {len(usable)} usable files in {root} are copies of one recording, so none can be held out to judge "
            "the model: add different sounds."
        )
    val = held_out(hashes, groups)
    files = (
        CorpusFile(
            name=name,
            sha256=sha256,
            samples=facts.samples,
            native_rate=facts.native_rate,
            channels=facts.channels,
            peak=facts.peak,
            group=number,
            split="val" if number in val else "train",
        )
        for (name, (sha256, facts)), number in zip(usable.items(), groups, strict=True)
    )
    return CorpusManifest(
        folder=shown(root),
        files=tuple(files),
        skipped=tuple(SkippedFile(name=name, reason=reason) for name, reason in sorted(skipped.items())),
    )


def reopen(
    manifest: CorpusManifest,
    folder: Path | None = None,
    spectrogram: SpectrogramConfig = SPECTROGRAM,
    allow_changed: bool = False,
) -> Generator[Event, None, Corpus]:
    """The same sounds and split again, in `folder` or where they were. Returns the `Corpus`.

    In the folder a file is looked for by its name, then by its content.

    Args:
        allow_changed: go on with the files that are still there as they were; the manifest of the `Corpus` names them.

    Raises:
        DistillError: the folder is gone, a sound is missing or has changed, or too few are left.
    """
    cache = SoundCache(spectrogram)
    root = Path(manifest.folder) if folder is None else folder
    if not root.is_dir():
        raise DistillError(
            f"The folder {root} with the sounds this model was trained on is not there: give the folder that holds them "
            "now with --dataset DIR."
        )
    found = SoundFolder(root)
    paths: dict[str, Path] = {}
    missing: list[str] = []
    for done, file in enumerate(manifest.files, start=1):
        named = found.sounds.get(file.name)
        path = named if named is not None and _holds(named, file.sha256) else found.by_hash.get(file.sha256)
        if path is None:
            missing.append(f"{file.name} has changed" if named else f"{file.name} is gone")
        else:
            paths[file.name] = path
            if cache.facts(file.sha256) is None:
                _store(cache, file, path)
        yield Progress("opening sounds", done, len(manifest.files), file.name)
    if missing and not allow_changed:
        raise DistillError(
            f"The sounds this model was trained on are not all in {root} ({_first_few(missing)}): give the folder that "
            "holds them unchanged with --dataset DIR, or go on with those that are left with --allow-changed."
        )
    if missing:
        left = tuple(file for file in manifest.files if file.name in paths)
        manifest = manifest.model_copy(update={"files": left})
        if not manifest.train or not manifest.val:
            raise DistillError(
                f"Too few of the model's sounds are left in {root} ({_first_few(missing)}): put some back."
            )
        yield Warned(f"{len(missing)} of the model's sounds are left out: {_first_few(missing)}.")
    return Corpus(manifest, spectrogram, paths)


def _first_few(names: list[str]) -> str:
    more = f", and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _store(cache: SoundCache, file: CorpusFile, path: Path) -> SoundFacts:
    try:
        return cache.store(file.sha256, path)
    except UnusableSound as reason:
        raise DistillError(f"{path} can no longer be read, {reason}: scan the folder again.") from reason


def _holds(path: Path, sha256: str) -> bool:
    try:
        return path.is_file() and file_sha256(path) == sha256
    except OSError:
        return False


def _too_few(folder: Path, *, usable: int, skipped: dict[str, str]) -> str:
    sounds = "sound" if usable == 1 else "sounds"
    sentence = f"{folder} holds {usable} usable {sounds}, and at least {MIN_FILES} are needed: add more"
    if not skipped:
        return sentence + "."
    named = ", ".join(f"{name}: {reason}" for name, reason in sorted(skipped.items())[:NAMED_AT_MOST])
    more = f", and {len(skipped) - NAMED_AT_MOST} more" if len(skipped) > NAMED_AT_MOST else ""
    return f"{sentence}, or repair what was skipped ({named}{more})."
