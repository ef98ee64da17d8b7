"""A folder of sounds: what is in it, what was skipped and why, which files belong together, and the split.

`scan` reads a folder, `reopen` finds the same sounds again for the second stage. The manifest is kept in the
`.distill` file; sounds and mels stay in the cache and are memory-mapped, so memory does not grow with the corpus.
"""

from collections.abc import Generator
from pathlib import Path

from distill.audio.reading import UnusableSound
from distill.corpus.cache import SoundCache, SoundFacts, file_sha256
from distill.corpus.folder import SoundFolder, shown
from distill.corpus.manifest import CorpusFile, CorpusManifest, SkippedFile
from distill.corpus.sounds import Corpus, has_content, read_into_cache
from distill.corpus.split import group, held_out
from distill.errors import DistillError
from distill.events import Event, Progress, Warned
from distill.settings.geometry import SpectrogramConfig

MIN_FILES = 5
NAMED_AT_MOST = 3
SPECTROGRAM = SpectrogramConfig()


def scan(folder: Path, spectrogram: SpectrogramConfig = SPECTROGRAM) -> Generator[Event, None, Corpus]:
    """Read all sounds of a folder into the cache, group near-duplicates, and split. Returns the `Corpus`.

    Raises:
        DistillError: no such folder, or too little in it to learn from.
    """
    found = SoundFolder(folder)
    if not found.sounds and not found.skipped:
        raise DistillError(
            f"There is no sound in {folder}: it needs at least {MIN_FILES} files such as .wav, .flac or .mp3."
        )
    cache = SoundCache(spectrogram)
    skipped = dict(found.skipped)
    usable: dict[str, tuple[str, SoundFacts]] = {}
    for done, (name, path) in enumerate(found.sounds.items(), start=1):
        try:
            sha256 = file_sha256(path)
            usable[name] = sha256, cache.facts(sha256) or cache.store(sha256, path)
        except UnusableSound as reason:
            skipped[name] = str(reason)
        except OSError as error:
            skipped[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("reading sounds", done, len(found.sounds), name)
    if len(usable) < MIN_FILES:
        raise DistillError(_too_few(folder, usable=len(usable), skipped=skipped))
    manifest = _split(found.root, cache, usable, skipped)
    return Corpus(manifest, spectrogram, {name: found.sounds[name] for name in usable})


def _split(
    root: Path, cache: SoundCache, usable: dict[str, tuple[str, SoundFacts]], skipped: dict[str, str]
) -> CorpusManifest:
    hashes = [sha256 for sha256, _ in usable.values()]
    content = [(sha256, facts.audio_sha256) for sha256, facts in usable.values()]
    groups = group(content, [cache.fingerprint(sha256) for sha256 in hashes])
    if len(set(groups)) < 2:
        raise DistillError(
            f"All {len(usable)} usable files in {root} are copies of one recording, so none can be held out to judge "
            "the model: add different sounds."
        )
    val = held_out(hashes, groups)
    files = (
        CorpusFile(
            name=name,
            sha256=sha256,
            samples=facts.samples,
            native_rate=facts.native_rate,
            channels=facts.channels,
            peak=facts.peak,
            group=number,
            split="val" if number in val else "train",
            notes=facts.notes,
        )
        for (name, (sha256, facts)), number in zip(usable.items(), groups, strict=True)
    )
    return CorpusManifest(
        folder=shown(root),
        files=tuple(files),
        skipped=tuple(SkippedFile(name=name, reason=reason) for name, reason in sorted(skipped.items())),
    )


def reopen(
    manifest: CorpusManifest,
    folder: Path | None = None,
    spectrogram: SpectrogramConfig = SPECTROGRAM,
    allow_changed: bool = False,
) -> Generator[Event, None, Corpus]:
    """The same sounds and split again, in `folder` or where they were. Returns the `Corpus`.

    In the folder a file is looked for by its name, then by its content.

    Args:
        allow_changed: go on with the files that are still there as they were; the manifest of the `Corpus` names them.

    Raises:
        DistillError: the folder is gone, a sound is missing or has changed, or too few are left.
    """
    cache = SoundCache(spectrogram)
    root = Path(manifest.folder) if folder is None else folder
    if not root.is_dir():
        raise DistillError(
            f"The folder {root} with the sounds this model was trained on is not there: give the folder that holds them "
            "now with --dataset DIR."
        )
    found = SoundFolder(root)
    paths: dict[str, Path] = {}
    missing: list[str] = []
    for done, file in enumerate(manifest.files, start=1):
        named = found.sounds.get(file.name)
        path = named if named is not None and has_content(named, file.sha256) else found.by_hash.get(file.sha256)
        if path is None:
            missing.append(f"{file.name} has changed" if named else f"{file.name} is gone")
        else:
            paths[file.name] = path
            if cache.facts(file.sha256) is None:
                read_into_cache(cache, file, path)
        yield Progress("opening sounds", done, len(manifest.files), file.name)
    if missing and not allow_changed:
        raise DistillError(
            f"The sounds this model was trained on are not all in {root} ({_first_few(missing)}): give the folder that "
            "holds them unchanged with --dataset DIR, or go on with those that are left with --allow-changed."
        )
    if missing:
        left = tuple(file for file in manifest.files if file.name in paths)
        manifest = manifest.model_copy(update={"files": left})
        if not manifest.train or not manifest.val:
            raise DistillError(
                f"Too few of the model's sounds are left in {root} ({_first_few(missing)}): put some back."
            )
        yield Warned(f"{len(missing)} of the model's sounds are left out: {_first_few(missing)}.")
    return Corpus(manifest, spectrogram, paths)


def _first_few(names: list[str]) -> str:
    more = f", and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
    return ", ".join(names[:NAMED_AT_MOST]) + more


def _too_few(folder: Path, *, usable: int, skipped: dict[str, str]) -> str:
    sounds = "sound" if usable == 1 else "sounds"
    sentence = f"{folder} holds {usable} usable {sounds}, and at least {MIN_FILES} are needed: add more"
    if not skipped:
        return sentence + "."
    return f"{sentence}, or repair what was skipped ({_reasons(skipped)})."


def _reasons(skipped: dict[str, str]) -> str:
    """Every reason once, with how many files have it and the first of their names."""
    alike: dict[str, list[str]] = {}
    for name, reason in sorted(skipped.items()):
        alike.setdefault(reason, []).append(name)
    parts = []
    for reason, names in sorted(alike.items(), key=lambda each: -len(each[1])):
        count = f"{len(names)} files, " if len(names) > 1 else ""
        parts.append(f"{count}{_first_few(names)}: {reason}")
    return "; ".join(parts)
