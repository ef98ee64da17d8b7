"""How files are replaced: whole or not at all, and in one sentence where that cannot be."""

import errno
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from distill.errors import DistillError

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What no file's name may hold on one system or another."""
LONGEST_NAME = 180
"""Bytes of a name that the user gives: of the 255 that file systems take, suffixes and temporary names need some."""
LONGEST_FILE_NAME = 255
"""Bytes that file systems take."""
NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
Stamp = tuple[int, int, int, int]
"""What tells one state of a file from another: device, number, time and size."""
BUSY_SECONDS = 5.0
"""How long a file waits to be replaced on Windows, where one that somebody reads cannot be."""


class _StreamToDisk(io.FileIO):
    """A file whose first failure to write is kept, not raised: torch and libsndfile make another error of it, or none.

    What is written after that counts as written; the failure is raised in the end.
    """

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or keep the reason why not."""
        if self.failure is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.failure = error
            else:
                return written or 0
        return memoryview(data).nbytes


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends without an exception.

    It can be read, too: what is written may be gone back to.

    A crash, a full disk or a kill at any moment leaves the old file as it was. The new bytes are on the disk
    (fsync) before the name points to them.

    Raises:
        DistillError: the folder cannot be made or written, or the disk is full; the sentence says which.
    """
    begun = os.fsencode(path.name)[:LONGEST_NAME].decode("utf-8", "ignore")  # the whole name may be as long as can be
    temporary = path.parent / f".{begun}.{secrets.token_hex(8)}.tmp"
    try:
        if path.exists() and not path.is_file():  # a name that points to a device would point to a file from then on
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise DistillError(f"Cannot write {path}: it is {what}. Choose another place.")
        path.parent.mkdir(parents=True, exist_ok=True)
        disk = _StreamToDisk(os.fspath(temporary), "x+b")
    except OSError as error:
        raise cannot_write(path, error) from error
    stream = io.BufferedRandom(disk)
    try:
        try:
            yield cast(BinaryIO, stream)
        except Exception as error:
            if disk.failure is None:
                raise  # not of the writing
            raise cannot_write(path, disk.failure) from error
        try:
            stream.flush()
            if disk.failure is not None:
                raise disk.failure
            os.fsync(disk.fileno())
            stream.close()
            _put(temporary, path)
        except OSError as error:
            raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            stream.close()
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A new folder beside `path` that gets its name when the block ends without an exception; else nothing of it is left.

    What has that name is removed once the new folder has it, and not before.

    Args:
        overwrite: whether something may have that name by then.

    Raises:
        DistillError: the folder cannot be made, or its name is taken.
    """
    begun = os.fsencode(path.name)[:LONGEST_NAME].decode("utf-8", "ignore")
    temporary = path.parent / f".{begun}.{secrets.token_hex(8)}.tmp"
    before = temporary.with_suffix(".old")
    try:
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        yield temporary
        if os.path.lexists(path) and not overwrite:
            raise DistillError(f"Cannot write {path}: something of that name is there. Choose another place.")
        try:
            if os.path.lexists(path):
                path.rename(before)
            temporary.rename(path)
        except OSError as error:
            if before.exists() and not os.path.lexists(path):
                before.rename(path)
            raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if os.path.lexists(path):
            shutil.rmtree(before, ignore_errors=True)


def cannot_write(path: Path, error: OSError) -> DistillError:
    """The sentence for a file that cannot be written: want of space and want of permission are told apart."""
    if error.errno in NO_SPACE:
        return DistillError(
            f"Cannot write {path}: there is no space left for it. Free some space, or choose another place."
        )
    reason = (error.strerror or str(error)).lower()
    if error.errno in NO_PERMISSION:
        return DistillError(
            f"Cannot write {path}: there is no permission ({reason}). Change the permissions of {path.parent}, or choose "
            "another place."
        )
    return DistillError(f"Cannot write {path}: {reason}. Choose another place.")


def stamp(path: Path) -> Stamp | None:
    """Differs whenever a file is another or has been written since; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def unused_path(path: Path) -> Path:
    """`path`, or the first of `stem-2`, `stem-3`, ... that no file has; the stem is cut where the name gets too long."""
    candidate, number = _ending(path, ""), 1
    while os.path.lexists(candidate):
        number += 1
        candidate = _ending(path, f"-{number}")
    return candidate


def _ending(path: Path, end: str) -> Path:
    """`path` with `end` after its stem."""
    room = LONGEST_FILE_NAME - len(os.fsencode(f"{end}{path.suffix}"))
    stem = os.fsencode(path.stem)
    cut = path.stem if len(stem) <= room else stem[:room].decode("utf-8", "ignore")
    return path.with_name(f"{cut}{end}{path.suffix}")


def is_file_name(name: str) -> bool:
    """Whether a file or a folder can be called `name` on every system, and be told apart from a flag or a hidden file."""
    fits = name != "" and not UNSAFE.search(name) and name == name.strip(" .-")
    return fits and len(name.encode()) <= LONGEST_NAME


def safe_file_name(name: str) -> str:
    """`name` without what some system does not take, and cut to `LONGEST_NAME` before its suffix; it may be empty then."""
    safe = UNSAFE.sub("", name).rstrip(" .")
    stem, suffix = PurePosixPath(safe).stem, PurePosixPath(safe).suffix
    room = LONGEST_NAME - len(suffix.encode())
    if room < 1:
        stem, suffix, room = safe, "", LONGEST_NAME
    return stem.encode()[:room].decode(errors="ignore") + suffix


RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""What no file can be called on Windows, whatever its suffix."""


def unreserved(name: str) -> str:
    """`name`, with an underscore behind it where Windows keeps it for a device."""
    return f"{name}_" if RESERVED.fullmatch(name) else name


def name_made_of(text: str) -> str:
    """As much of `text` as `is_file_name` takes; it may be empty."""
    cut = UNSAFE.sub("", text).strip(" .-").encode()[:LONGEST_NAME].decode(errors="ignore")
    return cut.strip(" .-")


def move_to_new(source: Path, target: Path) -> None:
    """Give a file another name in the same file system, and never that of a file that is there.

    Raises:
        FileExistsError: there is one.
        DistillError: it cannot be moved.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)  # unlike a rename, this fails where the name is taken
        except FileExistsError:
            raise
        except (OSError, AttributeError):  # a file system or a Python without links
            if target.exists():
                raise FileExistsError(target) from None
            source.rename(target)
        else:
            source.unlink()
    except FileExistsError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DistillError(f"Cannot move {source} to {target}: {reason}. Check the folder's permissions.") from error


def _put(temporary: Path, path: Path) -> None:
    """Replace `path`; on Windows, as soon as nobody reads it."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            temporary.replace(path)
        except PermissionError:
            if os.name != "nt" or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
