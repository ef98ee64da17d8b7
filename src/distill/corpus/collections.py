"""Collections: folders of sounds that were dropped on the page and are kept in the library."""

import glob
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from distill.corpus.cache import file_sha256
from distill.errors import DistillError
from distill.files import is_file_name, replacing, safe_file_name, unused_path
from distill.places import sounds_dir

DROPPED = "dropped sounds"
"""What a collection is called where nothing else gives it a name."""


class DroppedFile(NamedTuple):
    """A file as it was dropped."""

    path: Path
    """Where its content is."""
    name: str
    """What it is called, after the folders that were dropped with it: `drums/kicks/01.wav`, or `01.wav` alone."""


def collection_names() -> list[str]:
    """What there is, sorted."""
    if not sounds_dir().is_dir():
        return []
    return sorted(each.name for each in sounds_dir().iterdir() if each.is_dir() and not each.name.startswith("."))


def find_collection(name: str) -> Path | None:
    """The folder of a collection, or None where none is called `name`."""
    return sounds_dir() / name if name in collection_names() else None


def folder_title(folder: Path) -> str:
    """How the user would name a folder: a collection by its name, others by their path."""
    return folder.name if folder.resolve().parent == sounds_dir().resolve() else str(folder)


def collect(files: Sequence[DroppedFile], name: str = "") -> Path:
    """Copy dropped files into a collection, in the folders they were dropped with -> the collection's folder.

    One folder dropped without a name becomes a collection of its name, and is inside as it was: `drums/kicks/01.wav`
    is `kicks/01.wav` of `drums`. A file that is there already is not copied again, and none replaces another.

    Args:
        name: the collection to begin or to add to; empty: a new one.

    Raises:
        DistillError: no folder can be called that, or a file cannot be read or written.
    """
    wanted = name.strip()
    if wanted and not is_file_name(wanted):
        raise DistillError(f"{wanted!r} cannot be a folder's name. Use letters, digits and spaces, and not too many.")
    dropped_folder = _only_folder(files)
    folder = sounds_dir() / wanted if wanted else unused_path(sounds_dir() / (dropped_folder or DROPPED))
    is_whole = dropped_folder != "" and wanted in ("", dropped_folder)
    for file in files:
        parts = _parts(file.name)[1 if is_whole else 0 :]
        target = folder.joinpath(*parts or [safe_file_name(file.path.name)])
        if not _is_there(file.path, target):
            _copy(file, target)
    return folder


def _only_folder(files: Sequence[DroppedFile]) -> str:
    """What the one folder that all files were dropped in is called; empty where there are several, or none."""
    tops = {parts[0] if len(parts) > 1 else "" for parts in (_parts(file.name) for file in files)}
    top = tops.pop().strip(" .-") if len(tops) == 1 else ""
    return top if is_file_name(top) else ""


def _parts(name: str) -> list[str]:
    """The folders and the file of a dropped file's name, as any file system takes them; none leads upwards."""
    return [part for part in map(safe_file_name, name.split("/")) if part]


def _is_there(path: Path, target: Path) -> bool:
    """Whether the same content is beside `target` under its name, or its name and a number."""
    alike = target.parent.glob(f"{glob.escape(target.stem)}*{glob.escape(target.suffix)}")
    return any(_same(each, path) for each in alike if each.is_file())


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and file_sha256(one) == file_sha256(other)


def _copy(file: DroppedFile, target: Path) -> None:
    try:
        stream = file.path.open("rb")
    except OSError as error:
        reason = error.strerror or str(error)
        raise DistillError(f"{file.name} cannot be read ({reason}): drop it again.") from error
    with stream, replacing(unused_path(target)) as copy:
        shutil.copyfileobj(stream, copy)
