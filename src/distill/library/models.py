"""The library: a folder of `.distill` files. There is no index; the folder is the truth."""

import contextlib
import functools
import itertools
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.errors import DistillError
from distill.files import LONGEST_NAME, is_file_name, move_to_new, name_made_of, replacing
from distill.modelfile.card import ModelCard
from distill.modelfile.file import read_card, unreadable
from distill.modelfile.locks import STAGES, locked, refuse_in_training, stage_in_training
from distill.modelfile.opened import load_model
from distill.places import MODEL_SUFFIX, OLD_MODEL_SUFFIX, given_path, library_dir, shell_quoted, unfinished_dir


@dataclass(frozen=True)
class LibraryEntry:
    """One file of the library: its card, or why it cannot be read."""

    path: Path
    card: ModelCard | None
    problem: str = ""

    @property
    def name(self) -> str:
        """What the model is called: its file's name."""
        return self.path.stem


def new_model_path(name: str) -> Path:
    """Where a new model called `name` goes.

    Raises:
        DistillError: the name cannot be a file's name.
    """
    stem = name.removesuffix(MODEL_SUFFIX)
    if not is_file_name(stem):
        shown = name if len(name) <= LONGEST_NAME else f"{name[:60]}..."
        raise DistillError(
            f"--name {shown!r} cannot be a file's name. Use up to {LONGEST_NAME} letters, digits and spaces (a letter of "
            "another script, or an emoji, counts for two to four); none of "
            '/ \\ : * ? " < > |, and no space, dot or dash at either end.'
        )
    return library_dir() / f"{stem}{MODEL_SUFFIX}"


def name_of_folder(folder: Path) -> str:
    """A model's name made of a folder's name, whatever that holds."""
    return name_made_of(folder.resolve().name) or "model"


def spoken(path: Path) -> str:
    """How the user would name a model in a command: by its name if it is in the library, else by its path."""
    return shell_quoted(path.stem if path.parent == library_dir() else path)


def find_model(name_or_path: str) -> Path:
    """The file of a model, given by its name in the library or by a path.

    Raises:
        DistillError: there is none; the sentence lists what there is.
    """
    given = given_path(name_or_path)
    if given.suffix in (MODEL_SUFFIX, OLD_MODEL_SUFFIX) and _is_file(given):
        return given
    for suffix in (MODEL_SUFFIX, OLD_MODEL_SUFFIX, ""):
        candidate = library_dir() / f"{name_or_path}{suffix}"
        if candidate.parent == library_dir() and _is_file(candidate):
            return candidate
    if _is_file(given):
        return given
    models = list_models()
    known = f"The library has: {', '.join(path.stem for path in models[:12])}." if models else "The library is empty."
    raise DistillError(
        f"There is no model called {name_or_path!r}. {known} `distill train FOLDER --name NAME` makes one."
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no file can have that name
        return False


def list_models() -> list[Path]:
    """Every model in the library, by name."""
    folder = library_dir()
    try:
        there = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DistillError(
            f"The library {folder} cannot be read ({reason}). Set DISTILL_LIBRARY to a folder."
        ) from error
    return sorted(p for p in there if p.suffix in (MODEL_SUFFIX, OLD_MODEL_SUFFIX) and p.is_file())


def entries() -> list[LibraryEntry]:
    """Every file of the library with what it says of itself; one that is damaged hides no other."""
    return [_entry(path, _changed(path)) for path in list_models()]


@functools.lru_cache(maxsize=1024)
def _entry(path: Path, _changed: tuple[int, int]) -> LibraryEntry:
    try:
        return LibraryEntry(path, read_card(path))
    except DistillError as error:
        return LibraryEntry(path, None, str(error))


def _changed(path: Path) -> tuple[int, int]:
    """Differs whenever a file is another."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)


def model_in_library(name: str) -> Path:
    """The file of a model of the library, by its name alone: a path is no name.

    Raises:
        DistillError: there is none of that name.
    """
    for path in list_models():
        if path.stem == name or path.name == name:
            return path
    raise DistillError(f"There is no model called {name!r} in the library. `distill library list` shows what there is.")


def rename_model(name: str, new_name: str) -> Path:
    """Give a model of the library another name -> its new path. A training that is under way goes on with it there.

    Raises:
        DistillError: there is no such model, the new name is taken or cannot be a file's name.
    """
    source = model_in_library(name)
    target = source.with_name(new_model_path(new_name).stem + source.suffix)
    refuse_taken(target.stem, ("codec",))
    with locked(source, target):
        refuse_taken(target.stem, ("codec",))
        move_model(source, target)
    return target


def move_model(source: Path, target: Path) -> None:
    """Move a model's file, whose locks are held, and its unfinished trainings with it.

    Raises:
        DistillError: it cannot be moved, or is gone.
    """
    try:
        move_to_new(source, target)
    except FileExistsError as error:
        raise DistillError(f"{target} exists already. Try again.") from error
    # Where they cannot be moved they are begun again, which costs time only.
    there = unfinished_dir(target)
    shutil.rmtree(there, ignore_errors=True)  # of a model that had this name before
    with contextlib.suppress(OSError):
        unfinished_dir(source).rename(there)


def refuse_taken(stem: str, stages: Sequence[str] = STAGES) -> None:
    """Raises DistillError where the library has a model of that name, or one of `stages` is being trained under it."""
    if _has(stem):
        raise DistillError(f"There is a model called {stem!r} already. Choose another name.")
    refuse_in_training(new_model_path(stem), stages)


def _has(stem: str) -> bool:
    return any(path.stem == stem for path in list_models())


def import_model(source: Path, name: str | None = None) -> Path:
    """Copy a `.distill` file into the library once it has proved to be a whole model -> its path there.

    What is checked is the copy, so that what is taken is what was checked.

    Args:
        name: what to call it; None: as the file is called, with a number where that is taken.

    Raises:
        DistillError: it is no model or damaged, or the name is taken.
    """
    read_card(source)
    target = new_model_path(name_of_file(source) if name is None else name)
    if name is not None:
        refuse_taken(target.stem)
    waiting = library_dir() / f".importing-{secrets.token_hex(8)}"
    try:
        copy_model(source, waiting, called=target)
        try:
            load_model(waiting)
        except DistillError as error:
            raise DistillError(str(error).replace(str(waiting), str(source))) from error
        for number in itertools.count(1):
            if number > 1:
                target = target.with_name(f"{name_of_file(source)}-{number}{MODEL_SUFFIX}")
            with locked(target):
                if name is not None:
                    refuse_taken(target.stem)
                elif _has(target.stem) or stage_in_training(target) is not None:
                    continue
                with contextlib.suppress(FileExistsError):
                    move_to_new(waiting, target)
                    break
    finally:
        waiting.unlink(missing_ok=True)
    return target


def copy_model(source: Path, target: Path, called: Path) -> None:
    """Copy a file; in what is said of it, the copy is `called` as the user knows it."""
    try:
        with source.open("rb") as stream, replacing(target) as copy:
            shutil.copyfileobj(stream, copy)
    except OSError as error:
        raise unreadable(source, error) from error
    except DistillError as error:
        raise DistillError(str(error).replace(str(target), str(called))) from error


def export_model(name: str, out: Path, overwrite: bool = False) -> Path:
    """Copy a model of the library to a file or into a folder -> the copy's path.

    Raises:
        DistillError: there is no such model, something is there and is not to be replaced, or is being trained.
    """
    source = model_in_library(name)
    target = out / source.name if out.is_dir() else out
    if target.suffix != source.suffix:
        raise DistillError(f"{out} must be a folder, or end with {source.suffix}.")
    with locked(target):
        refuse_in_training(target)
        if target.exists() and not overwrite:
            raise DistillError(f"{target} exists already. Choose another place, or give --overwrite to replace it.")
        copy_model(source, target, called=target)
    return target


def name_of_file(path: Path) -> str:
    """A model's name made of a file's name, whatever that holds."""
    return name_made_of(path.stem) or "model"
