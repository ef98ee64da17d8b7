"""Where files live, and how they are replaced: whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from distill.errors import DistillError

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What no file's name may hold on one system or another."""
LONGEST_NAME = 180
"""Bytes of a name that the user gives: of the 255 that file systems take, suffixes and temporary names need some."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends without an exception.

    A crash, a full disk or a kill at any moment leaves the old file as it was. The new bytes are on the disk
    (fsync) before the name points to them.

    Raises:
        DistillError: the folder cannot be made or written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DistillError(f"Cannot write {path}: {reason}. Choose another place, or free some space.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def unused_path(path: Path) -> Path:
    """`path`, or the first of `stem-2`, `stem-3`, ... that no file has."""
    candidate, number = path, 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


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
        except OSError:  # a file system without links
            if target.exists():
                raise FileExistsError(target) from None
            source.rename(target)
        else:
            source.unlink()
    except FileExistsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise DistillError(f"Cannot move {source} to {target}: {reason}. Check the folder's permissions.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
