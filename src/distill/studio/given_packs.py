"""A pack that somebody has given: its folder, its archive, or a certificate beside its sounds. Nothing in it is trusted.

An archive is never unpacked: its files are read where they are, and copied one by one under names of our own where a decoder
needs a file. No more is read of a file than the archive says that it has, and what it says of all together is bounded.
"""

import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from distill.audio.formats import recognise
from distill.errors import DistillError
from distill.novelty.certificate import MOST_BYTES, NAME

MOST_FILES = 100_000
"""Of a folder."""
MOST_ENTRIES = 30_000
"""Of an archive."""
MOST_UNPACKED = 4 * 2**30
"""Bytes that an archive's files may have together; a larger pack is checked as a folder."""
MOST_DIRECTORY = 8 * 2**20
"""Bytes of an archive's list of its files, which is read into memory."""
BLOCK = 2**20
HEAD = 2**16
"""Bytes of a file that say whether it is a sound."""
END, END_BYTES, MOST_COMMENT = b"PK\x05\x06", 22, 2**16
ZIP64_END, ZIP64_BYTES = b"PK\x06\x07", 20


class GivenPack(ABC):
    """The files of a pack by their names in it, with slashes; only ordinary files."""

    files: dict[str, int]
    """Bytes of each, as it is said."""

    @abstractmethod
    def certificate(self) -> bytes:
        """The bytes of the certificate; one more than `MOST_BYTES` at most.

        Raises:
            DistillError: there is none.
        """

    @abstractmethod
    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of a file.

        Raises:
            DistillError: it cannot be read.
        """

    def sha256(self, name: str) -> str:
        """The hash of the bytes of a file."""
        digest = hashlib.sha256()
        for block in self.blocks(name):
            digest.update(block)
        return digest.hexdigest()

    def is_sound(self, name: str) -> bool:
        """Whether a file is a sound by its first bytes."""
        head = b""
        for block in self.blocks(name):
            head = (head + block)[:HEAD]
            if len(head) == HEAD:
                break
        return bool(head) and recognise(io.BytesIO(head), len(head)).kind is not None

    def copy(self, name: str, target: Path) -> Path:
        """The file where a decoder can read it; `target` is where it goes if that takes a copy."""
        with target.open("xb") as stream:
            for block in self.blocks(name):
                stream.write(block)
        return target


class FolderPack(GivenPack):
    """A folder, or what of it a certificate names."""

    def __init__(self, root: Path, certificate: Path) -> None:
        """`certificate`: of that name, in the folder."""
        self.root, self._certificate = root, certificate
        self.files = {}

    def look(self, names: Sequence[str], all_of_it: bool) -> None:
        """Find the files that are there.

        Args:
            names: of those that are looked for.
            all_of_it: whether to look what else there is.

        Raises:
            DistillError: there are too many.
        """
        found = self._walk() if all_of_it else names
        for number, name in enumerate(found):
            if number >= MOST_FILES:
                raise DistillError(
                    f"{self.root} holds more than {MOST_FILES:,} files: name the folder of the pack itself."
                )
            with suppress(OSError, ValueError):  # gone meanwhile, or no name for a file
                path = self.root / name
                about = path.lstat()
                if stat.S_ISREG(about.st_mode) and path.resolve().is_relative_to(self.root.resolve()):
                    self.files[name] = about.st_size

    def _walk(self) -> Iterator[str]:
        for place, folders, names in os.walk(self.root):
            folders[:] = sorted(folders)
            for name in sorted(names):
                yield Path(place, name).relative_to(self.root).as_posix()

    def certificate(self) -> bytes:
        """As `GivenPack.certificate`."""
        with _readable(self._certificate), self._certificate.open("rb") as stream:
            return stream.read(MOST_BYTES + 1)

    def blocks(self, name: str) -> Iterator[bytes]:
        """As `GivenPack.blocks`."""
        with _readable(self.root / name), (self.root / name).open("rb") as stream:
            while block := stream.read(BLOCK):
                yield block

    def copy(self, name: str, target: Path) -> Path:  # noqa: ARG002 - it is a file already
        """As `GivenPack.copy`."""
        return self.root / name


class ZipPack(GivenPack):
    """An archive, open until it is closed."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        """Read the list of its files.

        Raises:
            DistillError: it is damaged, too large, or of a kind that no pack is.
        """
        self.path = path
        with self._sound():
            _check_directory(path, stream)
            self._archive = zipfile.ZipFile(stream)
        entries = [each for each in self._archive.infolist() if not each.is_dir()]
        if len(entries) > MOST_ENTRIES:
            raise DistillError(f"{path} holds more than {MOST_ENTRIES:,} files: no pack does.")
        if sum(each.file_size for each in entries) > MOST_UNPACKED:
            raise DistillError(
                f"{path} has more than {MOST_UNPACKED / 2**30:.0f} GB in it: unpack it yourself, if you trust it, and name the "
                "folder."
            )
        inside = self._folder([each.filename for each in entries])
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for each in entries:
            outside = not each.filename.startswith(inside)
            name = f"../{each.filename}" if outside else each.filename.removeprefix(inside)
            if name in self._entries:
                raise DistillError(f"{path} holds two files of the name {name!r:.200}: make the archive again.")
            self._entries[name] = each
        self.files = {name: each.file_size for name, each in self._entries.items()}

    def _folder(self, names: Sequence[str]) -> str:
        """What the names of the pack's own files begin with: the folder of the certificate."""
        found = [each for each in names if PurePosixPath(each).name == NAME and len(PurePosixPath(each).parts) <= 2]
        if not found:
            raise DistillError(f"{self.path} holds no {NAME}: it is no pack that was made with --certificate.")
        if NAME not in found and len(found) > 1:
            raise DistillError(f"{self.path} holds more than one {NAME}: give one pack at a time.")
        return "" if NAME in found else found[0].removesuffix(NAME)

    def certificate(self) -> bytes:
        """As `GivenPack.certificate`."""
        data = b""
        for block in self.blocks(NAME):
            data += block
            if len(data) > MOST_BYTES:
                break
        return data

    def blocks(self, name: str) -> Iterator[bytes]:
        """As `GivenPack.blocks`."""
        entry = self._entries[name]
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DistillError(
                f"{self.path}: {name!r:.200} is locked, or packed in a way that no pack is. Unpack it, and name the folder."
            )
        with self._sound(), self._archive.open(entry) as stream:
            while block := stream.read(BLOCK):
                yield block

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except (
            zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError, struct.error,
        ) as error:  # fmt: skip
            raise DistillError(
                f"{self.path} is a damaged archive, or none ({error}). Use another copy of it."
            ) from error


@contextmanager
def given_pack(what: Path) -> Iterator[GivenPack]:
    """The pack that a path stands for, until the block ends.

    Raises:
        DistillError: it is none.
    """
    if what.is_dir():
        if not (what / NAME).is_file():
            raise DistillError(f"There is no {NAME} in {what}: it is no pack that was made with --certificate.")
        yield FolderPack(what, what / NAME)
    elif not what.exists():
        raise DistillError(f"There is no file or folder {what}: check the name.")
    elif not what.is_file():
        raise DistillError(f"{what} is no ordinary file: give a pack's folder, its .zip or its {NAME}.")
    else:
        with _readable(what):
            stream = what.open("rb")
        with stream:
            if stream.read(2) == b"PK":
                yield ZipPack(what, stream)
            else:
                yield FolderPack(what.parent, what)


def _check_directory(path: Path, stream: BinaryIO) -> None:
    """Refuse an archive whose list of files is larger than a pack's: zipfile reads all of it into memory.

    Raises:
        zipfile.BadZipFile: it has no end.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - END_BYTES - MOST_COMMENT - ZIP64_BYTES))
    tail = stream.read()
    # As zipfile looks for it: at the very end, else the last mark there is.
    at = len(tail) - END_BYTES if tail[-END_BYTES:][:4] == END and tail.endswith(b"\0\0") else tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise zipfile.BadZipFile("it has no end")
    entries, directory = struct.unpack("<HI", tail[at + 10 : at + 16])
    if ZIP64_END in tail[max(0, at - ZIP64_BYTES) : at] or directory > MOST_DIRECTORY or entries > MOST_ENTRIES:
        raise DistillError(
            f"{path} is larger than the archive of a pack may be: unpack it yourself, and name the folder."
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DistillError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error
