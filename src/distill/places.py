"""Where the program keeps its files, and paths as people write them: given to it, and shown in a command to copy."""

import contextlib
import hashlib
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import platformdirs

from distill.errors import DistillError

MODEL_SUFFIX = ".distill"
OLD_MODEL_SUFFIX = ".sda"
"""An older name of the same format: read, never written."""


def library_dir() -> Path:
    """The folder of `.distill` files that is the library: `$DISTILL_LIBRARY`, or the user's data folder."""
    chosen = os.environ.get("DISTILL_LIBRARY")
    return given_path(chosen) if chosen else _at_home(platformdirs.user_data_dir, "DISTILL_LIBRARY") / "library"


def cache_dir() -> Path:
    """The folder for decoded audio and spectrograms, safe to delete: `$DISTILL_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("DISTILL_CACHE")
    return given_path(chosen) if chosen else _at_home(platformdirs.user_cache_dir, "DISTILL_CACHE")


def _at_home(folder_of: Callable[..., str], variable: str) -> Path:
    """A folder of the user's; `variable` says where else it may be.

    Raises:
        DistillError: the user has no home, as in some containers.
    """
    folder = Path(folder_of("distill", appauthor=False))
    if not folder.is_absolute():
        raise DistillError(f"There is no home folder to keep files in. Set {variable} to a folder.")
    return folder


def preview_dir(model: Path) -> Path:
    """The folder for the previews of a model's training, in the cache."""
    return cache_dir() / "previews" / hashlib.sha256(os.fsencode(model.resolve())).hexdigest()[:16]


def unfinished_dir(model: Path) -> Path:
    """The folder for the unfinished trainings of a model, one file a stage, in the cache."""
    return cache_dir() / "unfinished" / hashlib.sha256(os.fsencode(model.resolve())).hexdigest()[:32]


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


FILE_ADDRESS = re.compile(r"file:(?://(?P<host>[^/]*))?(?P<path>/.*)", re.IGNORECASE | re.DOTALL)
PLAIN_ON_WINDOWS = re.compile(r"[\w.:\\/+=@-]+")


def given_path(given: str | Path) -> Path:
    """A path as someone gives it: `~` is their home folder, `file://...` the file that it stands for.

    Raises:
        DistillError: no file system has such a path, or it may not be looked at.
    """
    written = os.fspath(given)
    address = FILE_ADDRESS.fullmatch(written)
    if address is not None:
        written = _of_address(written, address["host"] or "", address["path"])
    path = Path(written)
    with contextlib.suppress(RuntimeError):  # of a user who is not known here: a name like any other, as for a shell
        path = path.expanduser()
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # who goes on with it says what is missing
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        short = written if len(written) < 80 else f"{written[:60]}..."
        raise DistillError(f"{short!r} cannot be opened, {reason}. Give another path.") from error
    return path


def typed_path(typed: str) -> Path:
    """A path typed or pasted into a field, where no shell has taken off the quotes around it: else as `given_path`."""
    text = typed.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return given_path(text)


def shell_quoted(word: str | Path) -> str:
    """A name or a path as one word of a command that is shown, to be copied into this system's shell."""
    text = os.fspath(word)
    if text.startswith("-"):
        text = os.path.join(os.curdir, text)  # noqa: PTH118 - Path drops the dot
    if os.name == "nt":
        return text if PLAIN_ON_WINDOWS.fullmatch(text) else f'"{text}"'
    return shlex.quote(text)


def _of_address(address: str, host: str, path: str) -> str:
    from urllib.parse import unquote

    if host.lower() not in ("", "localhost"):
        raise DistillError(f"{address} is on another machine. Give the path of a file on this one.")
    decoded = unquote(path, errors="surrogateescape")
    return decoded.removeprefix("/") if os.name == "nt" else decoded
