"""A corpus without some of its recordings, which are known again by their hashes and do not come back by themselves."""

from collections.abc import Mapping, Sequence

from distill.corpus.cache import SoundCache
from distill.corpus.consents import of_files_that_are_left
from distill.corpus.fingerprint import Fingerprint
from distill.corpus.manifest import CorpusFile, CorpusManifest, ForgottenSound
from distill.corpus.scan import MIN_FILES
from distill.corpus.split import group
from distill.errors import DistillError

NAMED_AT_MOST = 3


def corpus_without(
    manifest: CorpusManifest, forgotten: Sequence[CorpusFile], cache: SoundCache, from_codec: bool
) -> CorpusManifest:
    """A corpus that has nothing of some of its files but their hashes.

    Args:
        forgotten: files of the manifest.
        cache: knows their sound's hash, where they were read.
        from_codec: the codec is trained without them too.

    Raises:
        DistillError: too little would be left.
    """
    left = tuple(file for file in manifest.files if file not in set(forgotten))
    check_enough_is_left(left, len(forgotten))
    names = {name for file in forgotten for name in (file.name, file.source)} - {file.source for file in left}
    old = [each.model_copy(update={"in_codec": each.in_codec and not from_codec}) for each in manifest.forgotten]
    labels = {file.name.partition("/")[0] for file in left}
    smaller = manifest.model_copy(
        update={
            "files": left,
            "skipped": tuple(each for each in manifest.skipped if each.name not in names),
            "added_folders": {label: folder for label, folder in manifest.added_folders.items() if label in labels},
            "forgotten": (*old, *_remembered(left, forgotten, cache, not from_codec)),
        }
    )
    return smaller.model_copy(update={"consents": of_files_that_are_left(smaller)})


def check_enough_is_left(left: Sequence[CorpusFile], forgotten: int) -> None:
    """Raises DistillError where a prior could not be trained on what is left."""
    sides = {file.split for file in left}
    what = ""
    if len(left) < MIN_FILES:
        what = (
            f"{len(left)} of the model's {len(left) + forgotten} sounds are left, and at least {MIN_FILES} are needed"
        )
    elif "val" not in sides:
        what = "none is left that was held out to judge the model by"
    elif "train" not in sides:
        what = "none is left to learn from"
    if what:
        raise DistillError(f"Without what is to be forgotten {what}: forget fewer, or train a new model of others.")


def near_copies(manifest: CorpusManifest, forgotten: Sequence[CorpusFile]) -> tuple[str, ...]:
    """Names of files that stay and nearly repeat one that is to be forgotten. Pieces of one recording are no copies."""
    groups = {file.group: file.sha256 for file in forgotten}
    return tuple(
        file.name
        for file in manifest.files
        if file not in set(forgotten) and file.group in groups and file.sha256 != groups[file.group]
    )


def forgotten_files(manifest: CorpusManifest, hashes: Mapping[str, str]) -> set[str]:
    """Of new files (name -> content hash) the names of those that were forgotten."""
    known = {each.sha256 for each in manifest.forgotten if each.span is None}
    return {name for name, sha256 in hashes.items() if sha256 in known}


def repeats_forgotten(manifest: CorpusManifest, cache: SoundCache, hashes: Mapping[str, str]) -> set[str]:
    """Of new files that were read (name -> content hash) those whose sound is that of a forgotten one, or nearly.

    What is nearly the same is found where the forgotten recording is still in the cache.
    """
    if not manifest.forgotten or not hashes:
        return set()
    sounds = {each.audio_sha256 for each in manifest.forgotten if each.span is None}
    facts = {name: cache.facts(sha256) for name, sha256 in hashes.items()}
    same = {name for name, each in facts.items() if each is not None and each.audio_sha256 in sounds}
    cached = {each.sha256: cache.facts(each.sha256) for each in manifest.forgotten if each.span is None}
    old = {sha256: each for sha256, each in cached.items() if each is not None}
    new = {name: each for name, each in facts.items() if each is not None}
    content = [*((sha256, each.audio_sha256) for sha256, each in old.items())]
    content += [(hashes[name], each.audio_sha256) for name, each in new.items()]
    prints: list[Fingerprint] = [cache.fingerprint(sha256) for sha256, _ in content]
    numbers = group(content, prints) if old else []
    theirs = set(numbers[: len(old)])
    return same | {name for name, number in zip(new, numbers[len(old) :], strict=False) if number in theirs}


def _remembered(
    left: Sequence[CorpusFile], forgotten: Sequence[CorpusFile], cache: SoundCache, in_codec: bool
) -> list[ForgottenSound]:
    """One entry for each file; for each part of a recording of which others are left."""
    kept = {file.sha256 for file in left}
    found: dict[tuple[str, tuple[int, int] | None], ForgottenSound] = {}
    for file in forgotten:
        part = file.span if file.sha256 in kept else None
        facts = cache.facts(file.sha256) if part is None else None
        found[file.sha256, part] = ForgottenSound(
            sha256=file.sha256,
            span=part,
            audio_sha256=None if facts is None else facts.audio_sha256,
            in_codec=in_codec,
        )
    return list(found.values())
