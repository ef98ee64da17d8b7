"""A folder that is written whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distill.errors import DistillError
from distill.files import cannot_write

DESCRIPTION = "model.json"
"""What tells a folder that was exported from any other."""


def check_target(folder: Path, overwrite: bool) -> None:
    """Raise a `DistillError` where a folder cannot be exported to: what is there stays, unless it was exported, too."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        if not folder.is_dir():
            raise DistillError(f"--onnx {folder} is a file: give a folder that is new or empty.")
        if not (folder / DESCRIPTION).is_file():
            raise DistillError(f"--onnx {folder} holds other files: give a folder that is new or empty.")
    except OSError as error:
        raise cannot_write(folder, error) from error
    if not overwrite:
        raise DistillError(f"--onnx {folder} holds an exported model already: give --overwrite to replace it.")


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends without an exception.

    Raises:
        DistillError: it cannot be written.
    """
    mark = secrets.token_hex(8)
    parent, made = folder.parent, folder.parent / f".distill-{mark}.tmp"
    before = parent / f".distill-{mark}.old"
    try:
        made.mkdir(parents=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        yield made
        try:
            if folder.exists():
                folder.rename(before)
            try:
                made.rename(folder)
            except OSError:
                if before.exists():
                    before.rename(folder)
                raise
        except OSError as error:
            raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
