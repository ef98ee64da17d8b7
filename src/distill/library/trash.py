"""Deleted models, until they are restored or removed for good."""

import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from distill.errors import DistillError
from distill.library.models import copy_model, list_models, model_in_library, move_model
from distill.modelfile.locks import locked, refuse_in_training
from distill.places import MODEL_SUFFIX, OLD_MODEL_SUFFIX, library_dir, trash_dir, unfinished_dir

TRASHED = re.compile(r"^(\d{8}T\d{12})Z (.+)$")
"""A deleted model's file name without suffix: when, and its name."""


@dataclass(frozen=True)
class DeletedModel:
    """A model in the trash."""

    path: Path
    name: str
    deleted: str  # ISO 8601, UTC


def delete_model(name: str) -> DeletedModel:
    """Put a model of the library into the trash, from where `restore_model` brings it back.

    A training that is under way goes on with it there.
    """
    source = model_in_library(name)
    now = datetime.now(UTC)
    target = trash_dir() / f"{now:%Y%m%dT%H%M%S%f}Z {source.name}"
    with locked(source):
        move_model(source, target)
    return DeletedModel(target, source.stem, now.isoformat(timespec="seconds"))


def copy_to_trash(source: Path) -> DeletedModel:
    """A copy of a model as it is, in the trash, before it is changed in a way that cannot be undone otherwise.

    Raises:
        DistillError: it cannot be read or written.
    """
    now = datetime.now(UTC)
    target = trash_dir() / f"{now:%Y%m%dT%H%M%S%f}Z {source.name}"
    with locked(source):
        copy_model(source, target, called=target)
    return DeletedModel(target, source.stem, now.isoformat(timespec="seconds"))


def deleted_models() -> list[DeletedModel]:
    """What is in the trash, the newest first."""
    if not trash_dir().is_dir():
        return []
    found = []
    for path in sorted(trash_dir().iterdir(), reverse=True):
        match = TRASHED.match(path.stem)
        if match and path.suffix in (MODEL_SUFFIX, OLD_MODEL_SUFFIX):
            when = datetime.strptime(match[1], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
            found.append(DeletedModel(path, match[2], when.isoformat(timespec="seconds")))
    return found


def restore_model(name: str | None = None) -> Path:
    """Bring back the model that was deleted last, of this name or of any -> its path in the library.

    Args:
        name: the model's name, or that of its file in the trash where several had one name.

    Raises:
        DistillError: the trash holds no such model, or its name has been taken since.
    """
    found = next((deleted for deleted in deleted_models() if name in (None, deleted.name, deleted.path.stem)), None)
    if found is None:
        what = "no deleted model" if name is None else f"no deleted model called {name!r}"
        raise DistillError(f"There is {what}. `distill library list --deleted` shows what there is.")
    target = library_dir() / f"{found.name}{found.path.suffix}"
    with locked(found.path, target):
        if target.stem in {path.stem for path in list_models()}:
            raise DistillError(f"There is another model called {found.name!r} now. Rename that one first.")
        refuse_in_training(target, ("codec",))
        move_model(found.path, target)
    return target


def empty_trash() -> int:
    """Remove all deleted models for good -> how many there were.

    Raises:
        DistillError: one cannot be removed.
    """
    found = deleted_models()
    for deleted in found:
        try:
            with locked(deleted.path):
                deleted.path.unlink(missing_ok=True)
                shutil.rmtree(unfinished_dir(deleted.path), ignore_errors=True)
        except OSError as error:
            raise DistillError(
                f"Cannot remove {deleted.path}: {error.strerror or error}. Check the folder's permissions."
            ) from error
    return len(found)
