"""The library: a folder of `.distill` files. There is no index; the folder is the truth."""

import re
from pathlib import Path

from distill.errors import DistillError
from distill.files import BUNDLE_SUFFIX, OLD_BUNDLE_SUFFIX, library_dir

SAFE_NAME = re.compile(r"[^\W_][\w .()+-]{0,99}")


def new_model_path(name: str) -> Path:
    """Where a new model called `name` goes.

    Raises:
        DistillError: the name cannot be a file's name.
    """
    stem = name.removesuffix(BUNDLE_SUFFIX)
    if not SAFE_NAME.fullmatch(stem) or stem.endswith((" ", ".")):
        raise DistillError(
            f"--name {name!r} cannot be a file's name. Use up to 100 letters, digits, spaces and . - _ ( ) +, "
            "beginning with a letter or digit."
        )
    return library_dir() / f"{stem}{BUNDLE_SUFFIX}"


def find_model(name_or_path: str) -> Path:
    """The file of a model, given by its name in the library or by a path.

    Raises:
        DistillError: there is none; the sentence lists what there is.
    """
    given = Path(name_or_path).expanduser()
    if given.suffix in (BUNDLE_SUFFIX, OLD_BUNDLE_SUFFIX) and given.is_file():
        return given
    for suffix in (BUNDLE_SUFFIX, OLD_BUNDLE_SUFFIX, ""):
        candidate = library_dir() / f"{name_or_path}{suffix}"
        if candidate.parent == library_dir() and candidate.is_file():
            return candidate
    if given.is_file():
        return given
    names = list_models()
    known = f"The library has: {', '.join(path.stem for path in names[:12])}." if names else "The library is empty."
    raise DistillError(
        f"There is no model called {name_or_path!r}. {known} `distill train FOLDER --name NAME` makes one."
    )


def list_models() -> list[Path]:
    """Every model in the library, by name."""
    folder = library_dir()
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in (BUNDLE_SUFFIX, OLD_BUNDLE_SUFFIX) and p.is_file())
