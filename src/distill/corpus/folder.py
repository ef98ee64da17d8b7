"""What lies in a folder: the files that count as sounds, and why the others do not. Nothing is decoded here."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from distill.audio.reading import SUFFIXES
from distill.corpus.cache import file_sha256
from distill.errors import DistillError


class SoundFolder:
    """The files of a folder by the name that is shown and stored, sorted."""

    def __init__(self, folder: Path) -> None:
        """Walk the folder: hidden files are left out, links are followed only to files inside.

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
        for path in sorted(self._walk()):
            obstacle = self._obstacle(path)
            if obstacle is None:
                self.sounds[shown(path.relative_to(self.root))] = path
            else:
                self.skipped[shown(path.relative_to(self.root))] = obstacle

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
            yield from (Path(place, name) for name in names if not name.startswith("."))

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
        if path.suffix.lower() not in SUFFIXES:
            return "not an audio file"
        return None if path.is_file() else "not a regular file"


def shown(path: Path) -> str:
    """The path with slashes, as valid text even where a name is not UTF-8."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")
