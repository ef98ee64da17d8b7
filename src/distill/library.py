"""The library: a folder of `.distill` files. There is no index; the folder is the truth."""

import re
from pathlib import Path

from distill.errors import DistillError
from distill.files import BUNDLE_SUFFIX, OLD_BUNDLE_SUFFIX, library_dir

UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
"""What no file's name may hold on one system or another."""
LONGEST_NAME = 100


def new_model_path(name: str) -> Path:
    """Where a new model called `name` goes.

    Raises:
        DistillError: the name cannot be a file's name.
    """
    stem = name.removesuffix(BUNDLE_SUFFIX)
    if not stem or len(stem) > LONGEST_NAME or UNSAFE.search(stem) or stem != stem.strip(" .-"):
        raise DistillError(
            f"--name {name!r} cannot be a file's name. Use up to {LONGEST_NAME} letters, digits and spaces; none of "
            '/ \\ : * ? " < > |, and no space, dot or dash at either end.'
        )
    return library_dir() / f"{stem}{BUNDLE_SUFFIX}"


def name_of_folder(folder: Path) -> str:
    """A model's name made of a folder's name, whatever that holds."""
    return UNSAFE.sub("", folder.resolve().name).strip(" .-")[:LONGEST_NAME].strip(" .-") or "model"


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
