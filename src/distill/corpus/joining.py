"""New recordings join a corpus that a model was trained on: old files keep their side of the split, new ones get theirs by
the same rule, and what nearly repeats an old file goes where that is."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.audio.reading import UnusableSound
from distill.corpus.cache import SoundCache, SoundFacts, file_sha256
from distill.corpus.fingerprint import Fingerprint
from distill.corpus.folder import SoundFolders, shown
from distill.corpus.forgetting import forgotten_files, repeats_forgotten
from distill.corpus.manifest import CorpusFile, CorpusManifest, SkippedFile, piece_name
from distill.corpus.slice import LONGEST_SECONDS, Span
from distill.corpus.sounds import Corpus
from distill.corpus.split import group, held_out_of_new
from distill.errors import DistillError
from distill.events import Event, Progress
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

BETWEEN = "nearly the same as sounds on both sides of the split, so it can be on neither"
NAME_TAKEN = "its name is that of another recording that the model has learned from: give it another one"

Found = dict[str, tuple[str, Path]]
"""By name: content hash and place."""


@dataclass(frozen=True)
class Joined:
    """A corpus with what has joined it."""

    corpus: Corpus
    """Its manifest has all files, and so those that are gone; the places are of those that are there."""
    new: tuple[CorpusFile, ...]
    gone: tuple[CorpusFile, ...]
    """Old files, or pieces of such, that are not there any more."""
    changed: tuple[str, ...]
    """Names of old files in whose place another recording is; the manifest has that one."""
    unchecked: int
    """Old files that are neither there nor in the cache: what nearly repeats those would not be noticed."""
    forgotten: tuple[str, ...] = ()
    """Names of files that are there and stay out, because they were forgotten or nearly repeat what was."""


def join(
    manifest: CorpusManifest, added: Path | None, spectrogram: SpectrogramConfig
) -> Generator[Event, None, Joined]:
    """Look for new recordings where a model's are, and in a folder that is added.

    Args:
        added: a folder whose files join; None: the model's own folders only.

    Raises:
        DistillError: a folder is not there, or nothing new in them can be used.
    """
    manifest = manifest if added is None else _with_folder(manifest, added)
    roots = {label: root for label, root in manifest.roots.items() if root.is_dir() or (added is None and not label)}
    folders = SoundFolders(roots)
    found = yield from _hashed(folders)
    known = {file.sha256 for file in manifest.files}
    there = dict(found.values())
    sources = {file.source: file.sha256 for file in manifest.files}
    changed = {name for name, sha256 in sources.items() if sha256 not in there and name in found}
    new = {name: each for name, each in found.items() if each[0] not in known}
    out = forgotten_files(manifest, {name: sha256 for name, (sha256, _) in new.items()})
    new = {name: each for name, each in new.items() if name not in out}
    skipped = {each.name: each.reason for each in manifest.skipped if each.name not in found} | folders.skipped
    for name in [name for name in new if name in sources and name not in changed]:
        skipped[name] = NAME_TAKEN
        del new[name]
    cache = SoundCache(spectrogram)
    usable = yield from _read(cache, new, skipped)
    again = repeats_forgotten(manifest, cache, {name: new[name][0] for name in usable})
    out |= again
    usable = {name: facts for name, facts in usable.items() if name not in again}
    changed &= usable.keys()
    kept = tuple(file for file in manifest.files if file.source not in changed)
    files, unchecked = _placed(cache, manifest, kept, there, {name: new[name][0] for name in usable}, usable, skipped)
    if not files:
        raise DistillError(_nothing_new(roots, new, skipped, sorted(out)))
    merged = manifest.model_copy(
        update={
            "files": (*kept, *files),
            "skipped": tuple(SkippedFile(name=name, reason=reason) for name, reason in sorted(skipped.items())),
        }
    )
    paths = {file.source: there[file.sha256] for file in merged.files if file.sha256 in there}
    gone = tuple(file for file in kept if file.sha256 not in there)
    return Joined(
        Corpus(merged, spectrogram, paths), files, gone, tuple(sorted(changed)), unchecked, tuple(sorted(out))
    )


def _with_folder(manifest: CorpusManifest, added: Path) -> CorpusManifest:
    """The manifest with a folder more, unless its files are looked at anyway."""
    if not added.is_dir():
        raise DistillError(f"There is no folder {added} to add: check the name.")
    place = added.resolve()
    if any(root.is_dir() and place.is_relative_to(root.resolve()) for root in manifest.roots.values()):
        return manifest
    taken = {file.name.partition("/")[0] for file in manifest.files} | set(manifest.added_folders)
    first = Path(manifest.folder)
    own = shown(Path(place.name)) if place.name else "added"
    label, number = own, 1
    while label in taken or (first / label).exists():
        number += 1
        label = f"{own} {number}"
    return manifest.model_copy(update={"added_folders": {**manifest.added_folders, label: shown(place)}})


def _hashed(folders: SoundFolders) -> Generator[Event, None, Found]:
    found: Found = {}
    for done, (name, path) in enumerate(folders.sounds.items(), start=1):
        try:
            found[name] = file_sha256(path), path
        except OSError as error:
            folders.skipped[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("looking for new sounds", done, len(folders.sounds), name)
    return found


def _read(cache: SoundCache, new: Found, skipped: dict[str, str]) -> Generator[Event, None, dict[str, SoundFacts]]:
    usable: dict[str, SoundFacts] = {}
    for done, (name, (sha256, path)) in enumerate(new.items(), start=1):
        try:
            usable[name] = cache.facts(sha256) or cache.store(sha256, path)
        except UnusableSound as reason:
            skipped[name] = str(reason)
        except OSError as error:
            skipped[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("reading new sounds", done, len(new), name)
    return usable


def _placed(
    cache: SoundCache,
    manifest: CorpusManifest,
    kept: Sequence[CorpusFile],
    there: Mapping[str, Path],
    hashes: Mapping[str, str],
    usable: Mapping[str, SoundFacts],
    skipped: dict[str, str],
) -> tuple[tuple[CorpusFile, ...], int]:
    """The new files with group and side -> them, and how many old ones they could not be compared with."""
    old = {file.sha256: file for file in kept}
    compared = [sha256 for sha256 in old if _in_cache(cache, sha256, there)]
    prints: list[Fingerprint] = [cache.fingerprint(sha256) for sha256 in [*compared, *hashes.values()]]
    facts = [*map(cache.facts, compared), *usable.values()]
    content = [
        (sha256, each.audio_sha256)
        for sha256, each in zip([*compared, *hashes.values()], facts, strict=True)
        if each is not None
    ]
    numbers = group(content, prints)
    sides: dict[int, set[tuple[int, str]]] = {}
    for sha256, number in zip(compared, numbers, strict=False):
        sides.setdefault(number, set()).update((f.group, f.split) for f in kept if f.sha256 == sha256)
    own = dict(zip(hashes, numbers[len(compared) :], strict=True))
    fresh = {name: number for name, number in own.items() if number not in sides}
    val = held_out_of_new(
        [hashes[name] for name in fresh],
        list(fresh.values()),
        len({file.group for file in kept}),
        len({file.group for file in kept if file.split == "val"}),
    )
    next_group = 1 + max((file.group for file in kept), default=-1)
    renumbered: dict[int, int] = {}
    files: list[CorpusFile] = []
    for name, number in own.items():
        if number in fresh.values():
            place = renumbered.setdefault(number, next_group + len(renumbered)), "val" if number in val else "train"
        elif len({split for _, split in sides[number]}) == 1:
            place = min(sides[number])
        else:
            skipped[name] = BETWEEN
            continue
        files += _files(cache, manifest, name, hashes[name], usable[name], *place)
    return tuple(files), len(old) - len(compared)


def _files(
    cache: SoundCache, manifest: CorpusManifest, name: str, sha256: str, facts: SoundFacts, number: int, split: str
) -> list[CorpusFile]:
    """A new file, or its pieces where the corpus is one of pieces."""
    spans: list[Span] = cache.spans(sha256, facts) if manifest.recordings else []
    whole = {
        "sha256": sha256,
        **facts.model_dump(include={"native_rate", "channels", "peak", "notes"}),
        "stereo": bool(facts.stereo),
        "group": number,
        "split": split,
    }
    if len(spans) > 1 or (spans and facts.samples > LONGEST_SECONDS * SAMPLE_RATE):
        return [
            CorpusFile(**whole, name=piece_name(name, start), span=(start, stop), samples=stop - start)
            for start, stop in spans
        ]
    return [CorpusFile(**whole, name=name, samples=facts.samples)]


def _in_cache(cache: SoundCache, sha256: str, there: Mapping[str, Path]) -> bool:
    if cache.facts(sha256) is None and sha256 in there:
        try:
            cache.store(sha256, there[sha256])
        except (UnusableSound, OSError):
            return False
    return cache.facts(sha256) is not None


def _nothing_new(roots: Mapping[str, Path], new: Found, skipped: Mapping[str, str], forgotten: Sequence[str]) -> str:
    where = " and ".join(str(root) for root in roots.values())
    reasons = [f"{name}: {skipped[name]}" for name in new if name in skipped]
    if reasons:
        more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return (
            f"None of the {len(reasons)} new files in {where} can be used ({'; '.join(reasons[:3])}{more}): add others."
        )
    more = ", ..." if len(forgotten) > 1 else ""
    but = f" but what was forgotten and stays out ({len(forgotten)}: {forgotten[0]}{more})" if forgotten else ""
    return f"There are no new recordings in {where}{but}: put some there, or give a folder that holds some with --add FOLDER."
