"""What is known of a corpus: its files, what was skipped and why, groups and split. Kept in the `.distill` file. No torch."""

import hashlib
import statistics
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from distill.audio.reading import MAX_CHANNELS, MAX_SECONDS
from distill.corpus.cache import HASH_PATTERN
from distill.settings.auto import CorpusFacts
from distill.settings.geometry import CROP_SAMPLES, SAMPLE_RATE
from distill.settings.knobs import Frozen

STEREO_SHARE = 0.1
"""Share of the training files with a stereo image from which on a corpus is stereo."""
PIECE_MARK = " @ "
"""Between a file's name and where a piece of it begins."""


def piece_name(source: str, start: int) -> str:
    """`take.wav`, 592320 -> `take.wav @ 0:12.34`. Pieces are 0.2 s long at least, so their names differ."""
    minutes, hundredths = divmod(start * 100 // SAMPLE_RATE, 6000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{source}{PIECE_MARK}{clock}:{hundredths // 100:02d}.{hundredths % 100:02d}"


class CorpusFile(Frozen):
    """One usable file, or one piece of a recording."""

    name: str = Field(min_length=1, max_length=4096)
    """Path relative to the folder, with slashes; of a piece, where it begins too."""
    sha256: str = Field(pattern=HASH_PATTERN)
    samples: int = Field(ge=1, le=(MAX_SECONDS + 1) * SAMPLE_RATE)
    """Of the mono mix at 48 kHz."""
    native_rate: int = Field(ge=1, le=1_000_000)
    channels: int = Field(ge=1, le=MAX_CHANNELS)
    peak: float = Field(gt=0.0, allow_inf_nan=False)
    """Of the whole file."""
    group: int = Field(ge=0)
    split: Literal["train", "val"]
    span: tuple[int, int] | None = None
    """Which samples of the file at 48 kHz, the first and the one after the last; None: all of them."""
    notes: tuple[Annotated[str, Field(max_length=1000)], ...] = Field((), max_length=20)
    """What is to be known of how the file was read, one plain sentence each."""
    stereo: bool = False
    """Whether the file has a stereo image: two channels that differ by more than dither."""

    @field_validator("name")
    @classmethod
    def _inside_the_folder(cls, name: str) -> str:
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in PurePosixPath(name).parts:
            raise ValueError("a file's name must be relative and stay inside the folder")
        return name

    @model_validator(mode="after")
    def _span_fits(self) -> Self:
        if self.span is None:
            return self
        start, stop = self.span
        if not 0 <= start < stop <= (MAX_SECONDS + 1) * SAMPLE_RATE or stop - start != self.samples:
            raise ValueError("a span must lie inside the file and be as long as the sound")
        if self.name == self.source or self.name != piece_name(self.source, start):
            raise ValueError("the name of a piece must be that of its file and where it begins")
        return self

    @property
    def source(self) -> str:
        """The name of the file that it is, or is a piece of."""
        return self.name if self.span is None else self.name.rpartition(PIECE_MARK)[0]

    @property
    def content(self) -> str:
        """Equal for equal sounds only: the file's hash, and which part of it."""
        return self.sha256 if self.span is None else f"{self.sha256}:{self.span[0]}-{self.span[1]}"

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / SAMPLE_RATE


class SkippedFile(Frozen):
    """One file that cannot be used, and why."""

    name: str = Field(max_length=4096)
    reason: str = Field(max_length=1000)


class ForgottenSound(Frozen):
    """What is kept of a recording that was forgotten: hashes, by which it is known again and from which nothing can be made."""

    sha256: str = Field(pattern=HASH_PATTERN)
    """Of its file."""
    span: tuple[int, int] | None = None
    """Which part of the file, where others of its parts were kept."""
    audio_sha256: str | None = Field(None, pattern=HASH_PATTERN)
    """Of its decoded sound, as far as that was at hand: known again in another kind of file, or louder."""
    in_codec: bool = True
    """Whether the codec was trained with it."""


class Consent(Frozen):
    """Whose recordings some of the corpus are, and under which licence they were given."""

    of: str = Field("", max_length=4096)
    """Name of a file or of a folder, as the manifest has them; empty: of all that no other line is of."""
    whose: str = Field("", max_length=500)
    licence: str = Field("", max_length=500)

    @property
    def line(self) -> str:
        """`Ada Lovelace, CC BY 4.0`."""
        return ", ".join(part for part in (self.whose, self.licence) if part)


class CorpusManifest(Frozen):
    """Everything about a corpus but its sound."""

    folder: str
    files: tuple[CorpusFile, ...]
    skipped: tuple[SkippedFile, ...] = ()
    added_folders: dict[Annotated[str, Field(min_length=1, max_length=1000)], str] = Field({}, max_length=1000)
    """Folders whose files joined later, by the word that the names of their files begin with."""
    split_by: Literal["file", "time"] = "file"
    """Whether whole recordings are held out, or stretches of recordings that are learned from otherwise."""
    unused_pieces: int = Field(0, ge=0)
    """Pieces beside those stretches, which are neither learned from nor judged by."""
    forgotten: tuple[ForgottenSound, ...] = Field((), max_length=100_000)
    """Recordings that the model was made to forget (`distill.corpus.forgetting`)."""
    consents: tuple[Consent, ...] = Field((), max_length=10_000)
    """Whose the recordings are (`distill.corpus.consents`)."""

    @property
    def roots(self) -> dict[str, Path]:
        """All folders, by the word that the names of their files begin with; of the first that is nothing."""
        return {"": Path(self.folder), **{label: Path(folder) for label, folder in self.added_folders.items()}}

    def place(self, source: str) -> Path:
        """Where a file (`CorpusFile.source`) was."""
        label, _, rest = source.partition("/")
        return Path(self.added_folders[label]) / rest if label in self.added_folders else Path(self.folder) / source

    @property
    def digest(self) -> str:
        """One hash for the content of all files, whatever their names."""
        return hashlib.sha256("\n".join(sorted(file.content for file in self.files)).encode()).hexdigest()

    @property
    def recordings(self) -> tuple[str, ...]:
        """The names of the files that were cut into pieces."""
        return tuple(dict.fromkeys(file.source for file in self.files if file.span is not None))

    @property
    def train(self) -> tuple[CorpusFile, ...]:
        """The files that are learned from."""
        return tuple(file for file in self.files if file.split == "train")

    @property
    def val(self) -> tuple[CorpusFile, ...]:
        """The files that are held out."""
        return tuple(file for file in self.files if file.split == "val")

    @property
    def highest_rate(self) -> int:
        """The highest sample rate, in Hz, that a training file was recorded at: nothing above half of it was ever there."""
        return max(file.native_rate for file in self.train)

    @property
    def seconds(self) -> float:
        """Duration of all files."""
        return sum(file.seconds for file in self.files)

    @property
    def stereo(self) -> bool:
        """Whether a model of it has a stereo image: where one training file in ten or more has."""
        return sum(file.stereo for file in self.train) >= max(1.0, STEREO_SHARE * len(self.train))

    def facts(self) -> CorpusFacts:
        """What automatic settings depend on."""
        return CorpusFacts(
            files=len({(file.group, file.span) for file in self.files}),
            seconds=sum(file.seconds for file in self.train),
            crops=sum(-(-file.samples // CROP_SAMPLES) for file in self.train),
            median_seconds=statistics.median(file.seconds for file in self.train),
            sliced=bool(self.recordings),
        )
