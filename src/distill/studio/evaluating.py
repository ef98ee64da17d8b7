"""What a model loses, measured."""

import threading
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distill.compute.device import choose_device
from distill.corpus.folder import SoundFolder, SoundFolders
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.corpus.sounds import Corpus
from distill.corpus.unseen import Unseen, unseen_sounds
from distill.errors import DistillError
from distill.evaluation.scores import Decoded, evaluate_sounds
from distill.events import Event, Warned
from distill.instrument.synthesisers import check_synthesiser, choose_synthesiser
from distill.library.models import find_model
from distill.modelfile.opened import load_model
from distill.studio.stopping import stoppable

NAMED_AT_MOST = 3


def evaluate(
    model: str,
    dataset: Path | Sequence[Path] | None = None,
    device: str = "auto",
    synthesiser: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Measure the codec on sounds it has not learned from; copies of training files, and near copies, are left out.

    Args:
        dataset: folders of sounds, or sound files; None: the folder it was trained on, so its own held-out files.
        stop: set it to end before the next sound; what is measured by then counts.

    Raises:
        Stopped: before the first sound.
    """
    check_synthesiser(synthesiser)
    path = find_model(model)
    chosen = choose_device(device)
    loaded = load_model(path, chosen)
    manifest = loaded.card.corpus_manifest
    given = [dataset] if isinstance(dataset, Path) else list(dataset or ())
    candidates = sounds_in(given) if given else _own_sounds(manifest)
    reading = unseen_sounds(manifest, candidates, loaded.card.spectrogram_config)
    found = yield from stoppable(reading, stop, "Stopped before a sound was measured.")
    for sentence in _left_out(found, own=not given):
        yield Warned(sentence)
    if not found.any:
        raise DistillError(_nothing_left(path, found, own=not given))
    held_out = [file for file in manifest.val if file.sha256 in found.held_out]
    places = {file.source: found.held_out[file.sha256] for file in held_out}
    corpus = Corpus(manifest, loaded.card.spectrogram_config, places)
    sounds: list[tuple[str, Path | Decoded]] = [(file.name, partial(_decoded, corpus, file)) for file in held_out]
    synthesise = choose_synthesiser(loaded, synthesiser, chosen)
    yield from evaluate_sounds(loaded, [*sounds, *found.strangers.items()], synthesise, chosen, stop)


def _decoded(corpus: Corpus, file: CorpusFile) -> tuple[npt.NDArray[np.float32], int]:
    return corpus.planes(file), file.native_rate


def _own_sounds(manifest: CorpusManifest) -> dict[str, Path]:
    """The files of the folders a model was trained on."""
    for folder in manifest.roots.values():
        if not folder.is_dir():
            raise DistillError(
                f"The folder {folder} with the sounds this model was trained on is not there: give the folder that holds "
                "them now, or other sounds, with --dataset DIR."
            )
    return SoundFolders(manifest.roots).sounds


def sounds_in(places: Sequence[Path]) -> dict[str, Path]:
    """Name -> file, of folders and files; each once."""
    sounds: dict[str, Path] = {}
    files: set[Path] = set()
    for place in places:
        if place.is_dir():
            inside = SoundFolder(place).sounds
            if not inside:
                raise DistillError(f"There is no sound in {place}. Give a folder of sounds, or sound files.")
        elif place.exists():
            inside = {place.name: place}
        else:
            raise DistillError(f"There is no file or folder {place}: check the name.")
        for name, path in inside.items():
            if path.resolve() not in files:
                files.add(path.resolve())
                sounds[name if name not in sounds else str(path)] = path
    return sounds


def _left_out(found: Unseen, own: bool) -> list[str]:
    """What to say of the sounds that are not measured; that a model's own folder holds training files is no news."""
    said = []
    if found.known and not own:
        which = "them" if len(found.known) > 1 else "it"
        said.append(f"{_left(found.known)}: this model has learned from {which}.")
    if found.copies:
        what = "copies of sounds" if len(found.copies) > 1 else "a copy of a sound"
        said.append(f"{_left(found.copies)}: {what} that this model has learned from.")
    if found.unusable and found.any:
        reasons = [f"{name}: {reason}" for name, reason in found.unusable.items()]
        said.append(f"{len(reasons)} files cannot be used ({_first_few(reasons)}).")
    if found.unchecked:
        said.append(
            f"{found.unchecked} of the sounds this model has learned from are not there any more: near copies of those "
            "would not be noticed."
        )
    return said


def _nothing_left(model: Path, found: Unseen, own: bool) -> str:
    if found.unusable and not found.known and not found.copies:
        reasons = [f"{name}: {reason}" for name, reason in found.unusable.items()]
        return f"No sound can be used ({_first_few(reasons)}). Give others with --dataset DIR."
    if own:
        return (
            f"None of the sounds that {model} was to be judged by are in its folder any more. Give the folder that holds "
            "them now, or other sounds, with --dataset DIR."
        )
    return f"{model} has learned from all of these sounds, or from copies of them. Give others with --dataset DIR."


def _left(names: Sequence[str]) -> str:
    return f"{len(names)} sound{'s are' if len(names) > 1 else ' is'} left out ({_first_few(names)})"


def _first_few(names: Iterable[str]) -> str:
    named = list(names)
    more = f", and {len(named) - NAMED_AT_MOST} more" if len(named) > NAMED_AT_MOST else ""
    return ", ".join(named[:NAMED_AT_MOST]) + more
