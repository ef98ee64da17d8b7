"""Where the program keeps its files: the library, the cache, and the folders in them."""

import hashlib
import os
from pathlib import Path

import platformdirs

MODEL_SUFFIX = ".distill"
OLD_MODEL_SUFFIX = ".sda"
"""An older name of the same format: read, never written."""


def library_dir() -> Path:
    """The folder of `.distill` files that is the library: `$DISTILL_LIBRARY`, or the user's data folder."""
    return Path(
        os.environ.get("DISTILL_LIBRARY") or Path(platformdirs.user_data_dir("distill", appauthor=False)) / "library"
    )


def cache_dir() -> Path:
    """The folder for decoded audio and spectrograms, safe to delete: `$DISTILL_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("DISTILL_CACHE") or platformdirs.user_cache_dir("distill", appauthor=False))


def preview_dir(model: Path) -> Path:
    """The folder for the previews of a model's training, in the cache."""
    return cache_dir() / "previews" / hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:16]


def unfinished_dir(model: Path) -> Path:
    """The folder for the unfinished trainings of a model, one file a stage, in the cache."""
    return cache_dir() / "unfinished" / hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:32]


def sounds_dir() -> Path:
    """Where sounds that were dropped on the page are collected, one folder for each corpus."""
    return library_dir() / "sounds"


def kept_dir() -> Path:
    """Where generated sounds go that the user keeps on the page."""
    return library_dir() / "kept"


def history_dir() -> Path:
    """The history of generations on the page, one folder for each."""
    return library_dir() / ".history"


def trash_dir() -> Path:
    """Deleted models, until they are restored or someone empties the folder."""
    return library_dir() / ".trash"
