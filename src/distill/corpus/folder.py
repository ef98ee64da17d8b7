"""What lies in a folder: the files that are sounds by their first bytes, and why the others are not. Nothing is decoded here."""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from distill.audio.reading import NOT_A_SOUND, NOT_HERE, UnusableSound, kind_of
from distill.corpus.cache import file_sha256
from distill.corpus.sidecars import is_sidecar, placeholder_of, sidecars_together
from distill.errors import DistillError


class SoundFolder:
    """The files of a folder by the name that is shown and stored, sorted."""

    def __init__(self, folder: Path) -> None:
        """Walk the folder: hidden files are left out, links are followed only to files inside.

        What a file is called does not matter, but that what is no sound and has a sidecar's name is skipped on one line.

        Raises:
            DistillError: it cannot be read as a folder.
        """
        if not folder.exists():
            raise DistillError(f"There is no folder {folder}: check the name.")
        if not folder.is_dir():
            raise DistillError(f"{folder} is a file: give the folder that holds the sounds.")
        self.root = folder.resolve()
        self.sounds: dict[str, Path] = {}
        self.skipped: dict[str, str] = {}
        try:
            next(self.root.iterdir(), None)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DistillError(f"The folder {folder} cannot be read ({reason}): change its permissions.") from error
        sidecars: list[str] = []
        for path in sorted(self._walk()):
            name, obstacle = shown(path.relative_to(self.root)), self._obstacle(path)
            if obstacle is None:
                self.sounds[name] = path
            elif is_sidecar(path.name) and obstacle.startswith((NOT_A_SOUND, "empty")):
                sidecars.append(name)
            else:
                self.skipped[name] = obstacle
        if sidecars:
            name, reason = sidecars_together(sidecars)
            self.skipped[name] = reason

    @cached_property
    def by_hash(self) -> dict[str, Path]:
        """Content hash to file; reads every sound file once."""
        return {file_sha256(path): path for path in self.sounds.values()}

    def _walk(self) -> Iterator[Path]:
        def note(error: OSError) -> None:
            self.skipped[shown(Path(error.filename).relative_to(self.root))] = "the folder cannot be read"

        for place, folders, names in os.walk(self.root, onerror=note):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from (Path(place, name) for name in folders if Path(place, name).is_symlink())
            yield from (Path(place, name) for name in names if not name.startswith(".") or _is_told_of(name))

    def _obstacle(self, path: Path) -> str | None:
        """Why a path is not read at all, or None."""
        if path.is_symlink():
            try:
                target = path.resolve()
            except (OSError, RuntimeError):  # it leads in a circle, or where nobody may look
                return "a broken link"
            if target.is_dir():
                return "a link to a folder: links to folders are not followed"
            if not target.exists():
                return "a broken link"
            if not target.is_relative_to(self.root):
                return "a link to a file outside the folder"
        if not path.is_file():
            return "not a regular file"
        if (real := placeholder_of(path.name)) is not None:
            return f"{NOT_HERE}: {shown(Path(real))} is in a cloud, have it keep the file on this machine"
        try:
            kind_of(path)
        except UnusableSound as reason:
            return str(reason)
        return None


class SoundFolders:
    """The files of several folders, by the names that a corpus has for them."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        """`roots`: by the word that the names of a folder's files begin with; nothing for the first folder.

        Raises:
            DistillError: one of them cannot be read as a folder.
        """
        folders = {label: SoundFolder(root) for label, root in roots.items()}
        self.sounds = {
            _joined(label, name): path for label, each in folders.items() for name, path in each.sounds.items()
        }
        self.skipped = {
            _joined(label, name): why for label, each in folders.items() for name, why in each.skipped.items()
        }
        self._folders = list(folders.values())

    @cached_property
    def by_hash(self) -> dict[str, Path]:
        """Content hash to file; reads every sound file once."""
        return {sha256: path for each in reversed(self._folders) for sha256, path in each.by_hash.items()}


def _joined(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name


def _is_told_of(name: str) -> bool:
    """Whether a hidden file is named among what is skipped."""
    return is_sidecar(name) or placeholder_of(name) is not None


def shown(path: Path) -> str:
    """The path with slashes, as valid text even where a name is not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
