"""Which recordings of a corpus somebody means: by name, folder, pattern, or by a file that is there."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from distill.corpus.cache import file_sha256
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.errors import DistillError
from distill.places import given_path

NEAR = 0.5
"""How alike a name must be to be offered, from 0 to 1."""


def named_files(manifest: CorpusManifest, names: Sequence[str]) -> tuple[CorpusFile, ...]:
    """The files of a corpus that are meant, in its order, each once.

    Args:
        names: names as the manifest has them, of files or of recordings that were cut into pieces; folders; patterns with
            `*`, `?` and `[...]`; or paths of the recordings themselves, which are known by what is in them.

    Raises:
        DistillError: there is none of that name; the sentence has the nearest.
    """
    meant = [file for name in names for file in _named(manifest, name)]
    return tuple(file for file in manifest.files if file in set(meant))


def is_folder_of(manifest: CorpusManifest, name: str) -> bool:
    """Whether some files of the corpus are in a folder of that name."""
    return any(file.name.startswith(f"{name}/") for file in manifest.files)


def _named(manifest: CorpusManifest, given: str) -> list[CorpusFile]:
    name = given.replace("\\", "/").rstrip("/")
    exact = [file for file in manifest.files if name in (file.name, file.source)]
    inside = [file for file in manifest.files if name and file.name.startswith(f"{name}/")]
    pattern = [file for file in manifest.files if fnmatchcase(file.name, name) or fnmatchcase(file.source, name)]
    found = exact or inside or pattern or _at_path(manifest, given)
    if not found:
        raise DistillError(_unknown(manifest, given))
    return found


def _at_path(manifest: CorpusManifest, given: str) -> list[CorpusFile]:
    """What is at a path: a recording by its content, or a folder of the corpus's."""
    try:
        path = given_path(given)
        if path.is_file():
            sha256 = file_sha256(path)
            return [file for file in manifest.files if file.sha256 == sha256]
        if not path.is_dir():
            return []
        place = path.resolve()
        return [file for file in manifest.files if Path(manifest.place(file.source)).resolve().is_relative_to(place)]
    except (DistillError, OSError, ValueError):
        return []


def _unknown(manifest: CorpusManifest, given: str) -> str:
    names = list(dict.fromkeys(name for file in manifest.files for name in (file.source, file.name)))
    by_end = {name.rpartition("/")[2].lower(): name for name in reversed(names)} | {n.lower(): n for n in names}
    near = difflib.get_close_matches(given.rpartition("/")[2].lower(), list(by_end), 1, NEAR)
    nearest = by_end[near[0]] if near else names[0]
    said = f"the nearest is {nearest!r}" if near else f"they are called like {nearest!r}"
    return (
        f"The model has learned from no recording called {given!r}: {said}. `distill info MODEL --json` lists all under "
        "corpus_manifest."
    )
