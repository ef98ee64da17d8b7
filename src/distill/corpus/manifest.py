"""What is known of a corpus: its files, what was skipped and why, groups and split. Kept in the `.distill` file. No torch."""

import hashlib
import statistics
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from distill.audio.reading import MAX_CHANNELS, MAX_SECONDS
from distill.corpus.cache import HASH_PATTERN
from distill.settings.auto import CorpusFacts
from distill.settings.geometry import CROP_SAMPLES, SAMPLE_RATE
from distill.settings.knobs import Frozen


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
    notes: tuple[Annotated[str, Field(max_length=1000)], ...] = Field((), max_length=20)
    """What is to be known of how the file was read, one plain sentence each."""

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
