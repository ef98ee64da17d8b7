"""A folder of sounds: what is in it, what was skipped and why, which files belong together, and the split.

`scan` reads a folder, `reopen` finds the same sounds again for the second stage. The manifest is kept in the
`.distill` file; sounds and mels stay in the cache and are memory-mapped, so memory does not grow with the corpus.
"""

from collections.abc import Generator, Sequence
from pathlib import Path

from distill.audio.reading import UnusableSound
from distill.corpus.cache import SoundCache, SoundFacts, file_sha256
from distill.corpus.folder import SoundFolder, SoundFolders, shown
from distill.corpus.manifest import CorpusFile, CorpusManifest, SkippedFile, piece_name
from distill.corpus.slice import LONGEST_SECONDS, Span
from distill.corpus.sounds import Corpus, has_content, read_into_cache
from distill.corpus.split import (
    WORTH_SPLITTING_SECONDS,
    group,
    held_out,
    held_out_stretches,
    side,
    whole_recordings,
)
from distill.counting import counted
from distill.errors import DistillError
from distill.events import Event, Progress, Warned
from distill.settings.codec import Slicing
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig

MIN_FILES = 5
SLICE_ABOVE_SECONDS = 30.0
"""With fewer files than MIN_FILES, of which one is longer than this, all are cut into pieces unless the user says no."""
WORTH_SLICING_SECONDS = 5.0
"""Cutting is offered where a file is at least this long."""
NAMED_AT_MOST = 3
SPECTROGRAM = SpectrogramConfig()

Usable = dict[str, tuple[str, SoundFacts]]
"""By name: content hash, and what is known of the sound."""
Spans = dict[str, list[Span]]
"""By name, the pieces of a file that is cut."""


def scan(
    folder: Path, spectrogram: SpectrogramConfig = SPECTROGRAM, slicing: Slicing = "auto"
) -> Generator[Event, None, Corpus]:
    """Read all sounds of a folder into the cache, group near-duplicates, and split. Returns the `Corpus`.

    Args:
        slicing: whether recordings are cut into pieces at silences and onsets; auto: where files are few and long.

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
    usable: Usable = {}
    for done, (name, path) in enumerate(found.sounds.items(), start=1):
        try:
            sha256 = file_sha256(path)
            usable[name] = sha256, cache.facts(sha256) or cache.store(sha256, path)
        except UnusableSound as reason:
            skipped[name] = str(reason)
        except OSError as error:
            skipped[name] = f"cannot be read: {(error.strerror or str(error)).lower()}"
        yield Progress("reading sounds", done, len(found.sounds), name)
    longest = max((facts.samples for _, facts in usable.values()), default=0) / SAMPLE_RATE
    sliced = slicing == "on" or (slicing == "auto" and len(usable) < MIN_FILES and longest > SLICE_ABOVE_SECONDS)
    spans = (yield from _cut(cache, usable)) if sliced else {}
    if len(usable) < MIN_FILES and not spans:
        raise DistillError(_too_few(folder, _offer(slicing, longest), usable=len(usable), skipped=skipped))
    manifest = _split(found.root, cache, usable, skipped, spans)
    return Corpus(manifest, spectrogram, {name: found.sounds[name] for name in usable})


def _cut(cache: SoundCache, usable: Usable) -> Generator[Event, None, Spans]:
    """The pieces of every file that is worth cutting; others stay whole."""
    spans: Spans = {}
    for done, (name, (sha256, facts)) in enumerate(usable.items(), start=1):
        found = cache.spans(sha256, facts)
        if len(found) > 1 or (found and facts.samples > LONGEST_SECONDS * SAMPLE_RATE):
            spans[name] = found
        yield Progress("cutting into pieces", done, len(usable), name)
    return spans


def _split(root: Path, cache: SoundCache, usable: Usable, skipped: dict[str, str], spans: Spans) -> CorpusManifest:
    hashes = [sha256 for sha256, _ in usable.values()]
    content = [(sha256, facts.audio_sha256) for sha256, facts in usable.values()]
    groups = group(content, [cache.fingerprint(sha256) for sha256 in hashes])
    if len(set(groups)) < 2 and not spans:
        raise DistillError(
            f"All {len(usable)} usable files in {root} are copies of one recording, so none can be held out to judge "
            "the model: add different sounds."
        )
    pieces = {name: spans.get(name, [(0, facts.samples)]) for name, (_, facts) in usable.items()}
    seconds = [_sound(each) for each in pieces.values()]
    val = whole_recordings(hashes, groups, seconds) if spans else held_out(hashes, groups)
    stretches = _stretches(groups, spans, list(usable)) if val is None else {}
    files: list[CorpusFile] = []
    for (name, (sha256, facts)), number in zip(usable.items(), groups, strict=True):
        whole = {"sha256": sha256, **facts.model_dump(include={"native_rate", "channels", "peak", "notes"})}
        whole["stereo"] = bool(facts.stereo)
        for span in pieces[name]:
            place = {"name": piece_name(name, span[0]), "span": span} if name in spans else {"name": name}
            split = side(span, stretches.get(number, ())) if val is None else "val" if number in val else "train"
            if split is not None:
                # The stretches of a recording that are held out are a group of their own.
                own = number + (len(set(groups)) if val is None and split == "val" else 0)
                files.append(CorpusFile(**whole, **place, samples=span[1] - span[0], group=own, split=split))
    if spans and (len(files) < MIN_FILES or len({file.split for file in files}) < 2):
        raise DistillError(
            f"Cut at silences and onsets, {root} gives {len(files)} sounds, too few to learn from some and to be judged by "
            "others: add more."
        )
    return CorpusManifest(
        folder=shown(root),
        files=tuple(files),
        skipped=tuple(SkippedFile(name=name, reason=reason) for name, reason in sorted(skipped.items())),
        split_by="time" if val is None else "file",
        unused_pieces=sum(map(len, pieces.values())) - len(files),
    )


def _stretches(groups: Sequence[int], spans: Spans, names: Sequence[str]) -> dict[int, list[Span]]:
    """The held-out stretches of each group of recordings: those of the one with most sound, for its copies too."""
    fullest: dict[int, list[Span]] = {}
    for name, number in zip(names, groups, strict=True):
        if name in spans and _sound(spans[name]) > _sound(fullest.get(number, [])):
            fullest[number] = spans[name]
    worth = {number: each for number, each in fullest.items() if _sound(each) >= WORTH_SPLITTING_SECONDS}
    return {number: held_out_stretches(each) for number, each in (worth or fullest).items()}


def _sound(pieces: Sequence[Span]) -> float:
    """Seconds."""
    return sum(stop - start for start, stop in pieces) / SAMPLE_RATE


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
    roots = manifest.roots if folder is None else {"": folder}
    root = next((each for each in roots.values() if not each.is_dir()), roots[""])
    if not root.is_dir():
        raise DistillError(
            f"The folder {root} with the sounds this model was trained on is not there: give the folder that holds them "
            "now with --dataset DIR."
        )
    found = SoundFolders(roots)
    paths: dict[str, Path] = {}
    missing: list[str] = []
    sources = {file.source: file for file in manifest.files}  # the pieces of a recording are opened together
    for done, (source, file) in enumerate(sources.items(), start=1):
        named = found.sounds.get(source)
        path = named if named is not None and has_content(named, file.sha256) else found.by_hash.get(file.sha256)
        if path is None:
            missing.append(f"{source} has changed" if named else f"{source} is gone")
        else:
            paths[source] = path
            if cache.facts(file.sha256) is None:
                read_into_cache(cache, file, path)
        yield Progress("opening sounds", done, len(sources), source)
    if missing and not allow_changed:
        raise DistillError(
            f"The sounds this model was trained on are not all in {root} ({_first_few(missing)}): give the folder that "
            "holds them unchanged with --dataset DIR, or go on with those that are left with --allow-changed."
        )
    if missing:
        left = tuple(file for file in manifest.files if file.source in paths)
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


def _offer(slicing: Slicing, longest_seconds: float) -> str:
    """What would do in place of more files."""
    if slicing == "off" and longest_seconds > SLICE_ABOVE_SECONDS:
        return ", or have the recordings cut into pieces, with --slice auto"
    if slicing != "on" and longest_seconds >= WORTH_SLICING_SECONDS:
        return ", or have them cut into pieces, with --slice on"
    return f", or one recording of more than {SLICE_ABOVE_SECONDS:.0f} s, which is cut into pieces"


def _too_few(folder: Path, offer: str, *, usable: int, skipped: dict[str, str]) -> str:
    sentence = f"{folder} holds {counted(usable, 'usable sound')}, and at least {MIN_FILES} are needed: add more{offer}"
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
