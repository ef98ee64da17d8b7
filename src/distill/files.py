"""Where files live, and how they are replaced: whole or not at all."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from distill.errors import DistillError

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What no file's name may hold on one system or another."""
LONGEST_NAME = 180
"""Bytes of a name that the user gives: of the 255 that file systems take, suffixes and temporary names need some."""
LONGEST_FILE_NAME = 255
"""Bytes that file systems take."""


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
        if path.exists() and not path.is_file():  # a name that points to a device would point to a file from then on
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise DistillError(f"Cannot write {path}: it is {what}. Choose another place.")
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = path.parent / f".{secrets.token_hex(8)}.tmp"  # not made of the name, which may be as long as can be
        with waiting.open("xb") as stream:
            temporary = waiting
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        reason = error.strerror or str(error)
        raise DistillError(f"Cannot write {path}: {reason}. Choose another place, or free some space.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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
        reason = error.strerror or str(error)
        raise DistillError(f"Cannot move {source} to {target}: {reason}. Check the folder's permissions.") from error
