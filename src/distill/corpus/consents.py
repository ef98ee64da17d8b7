"""Whose the recordings of a corpus are, and under which licence: a line for a file, for a folder, or for all."""

from collections.abc import Iterable, Sequence

from distill.corpus.manifest import Consent, CorpusFile, CorpusManifest
from distill.corpus.naming import is_folder_of, named_files


def consents_for(manifest: CorpusManifest, names: Iterable[str] | None = None) -> tuple[Consent, ...]:
    """The lines that hold for recordings, each once, in the order of the recordings.

    Args:
        names: of files of the manifest, such as those that a sound is nearest to; None: of all.
    """
    wanted = None if names is None else set(names)
    files = [file for file in manifest.files if wanted is None or file.name in wanted or file.source in wanted]
    return tuple(dict.fromkeys(each for each in (consent_of(manifest, file) for file in files) if each is not None))


def consent_of(manifest: CorpusManifest, file: CorpusFile) -> Consent | None:
    """The line that holds for one file: its own, else that of the nearest folder, else that of all."""
    lines = {each.of: each for each in manifest.consents}
    folders = file.source.split("/")[:-1]
    places = [file.name, file.source, *("/".join(folders[:depth]) for depth in range(len(folders), 0, -1)), ""]
    return next((lines[place] for place in places if place in lines), None)


def without_consent(manifest: CorpusManifest) -> tuple[str, ...]:
    """Names of files, or of the recordings that they are pieces of, for which no line holds."""
    return tuple(dict.fromkeys(file.source for file in manifest.files if consent_of(manifest, file) is None))


def with_consents(manifest: CorpusManifest, names: Sequence[str], whose: str, licence: str) -> CorpusManifest:
    """The manifest with a line for each file or folder that is named, in the place of one that was there.

    Args:
        names: as of `named_files`; none: one line for all that no other is of.
        whose, licence: both empty: the lines go.

    Raises:
        DistillError: there is no recording of that name.
    """
    places = [place for name in names for place in _places(manifest, name)] if names else [""]
    lines = {each.of: each for each in manifest.consents}
    for place in places:
        lines.pop(place, None)
        if whose or licence:
            lines[place] = Consent(of=place, whose=whose, licence=licence)
    return manifest.model_copy(update={"consents": tuple(sorted(lines.values(), key=lambda each: each.of))})


def of_files_that_are_left(manifest: CorpusManifest) -> tuple[Consent, ...]:
    """The lines that hold for any file, so that none names one that is gone."""
    used = {each.of for each in consents_for(manifest)}
    return tuple(each for each in manifest.consents if not each.of or each.of in used)


def _places(manifest: CorpusManifest, name: str) -> list[str]:
    """What a line is kept under: a folder as such, so that it holds for what comes into it later; else each recording."""
    folder = name.replace("\\", "/").rstrip("/")
    if is_folder_of(manifest, folder):
        return [folder]
    return list(dict.fromkeys(folder if file.name == folder else file.source for file in named_files(manifest, [name])))
