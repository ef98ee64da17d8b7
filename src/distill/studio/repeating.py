"""What made a sound file, and the same sound again."""

import os
import threading
from collections.abc import Generator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

import distill
from distill.audio.reading import read_planes
from distill.audio.tagging import read_tags
from distill.audio.tags import SoundTags, SourceFile
from distill.compute.device import choose_device
from distill.errors import DistillError, Stopped
from distill.events import AgainCompleteEvent, Event, GenerationCompleteEvent, Warned
from distill.instrument.asked import asked_of
from distill.instrument.tags import source_file
from distill.library.models import find_model, list_models, model_in_library, spoken
from distill.modelfile.opened import LoadedVQModel, load_model
from distill.places import given_path, shell_quoted
from distill.settings.generation import GenerationSettings
from distill.settings.knobs import describe_invalid
from distill.studio.generating import write_sounds

MAKEABLE = ("generate", "continue", "replace", "vary", "bridge", "like", "more-like", "morph", "loop")
"""Verbs whose sounds can be made again by their tags."""
ELSEWHERE = ("//", "\\\\")
"""How paths of other machines begin: what a stranger's file names must not make this one call there."""


class Repeat(NamedTuple):
    """A sound that is to be made again."""

    request: GenerationSettings
    """The whole one."""
    found: GenerationSettings
    """The same with the recordings as they lie on this machine."""
    seed: int
    """The sound's."""
    sources: tuple[SourceFile, ...]
    """The recordings as they are now."""
    notes: tuple[str, ...]
    """Why it may become another sound."""


def what(file: Path) -> SoundTags:
    """How a sound was made, as its file says.

    Raises:
        DistillError: there is no such file, it is no sound, or it does not say.
    """
    return read_tags(given_path(file))


def again(
    file: Path,
    out: Path,
    model: str | None = None,
    sources: Sequence[Path] = (),
    device: str = "auto",
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Make the sound of a file again, by its tags.

    Args:
        out: folder for it.
        model: another than that of its name and hash.
        sources: where the recordings are now that it was made from.
        stop: set it to end before it is written.

    Raises:
        DistillError: the file does not say how it was made; its model or a recording is gone, or is another one now.
    """
    path = given_path(file)
    tags = what(path)
    repeat = repeat_of(path, tags, sources)
    loaded, of_model = model_of(path, tags, model, device)
    notes = (*of_model, *repeat.notes)
    for note in notes:
        yield Warned(note)
    asked, chosen = asked_of(repeat.found), choose_device(device)
    for event in write_sounds(loaded, repeat.request, asked, out, chosen, stop, repeat.seed, repeat.sources):
        if not isinstance(event, GenerationCompleteEvent):
            yield event
            continue
        if not event.sounds:
            raise Stopped("Stopped before the sound was written.")
        made = event.sounds[0]
        same = _same_sound(path, Path(made.path))
        yield AgainCompleteEvent(event.model, str(path), made.path, made.seconds, repeat.seed, same, notes)


def repeat_of(path: Path, tags: SoundTags, given: Sequence[Path] = ()) -> Repeat:
    """What is to be made for a sound's file, its recordings found.

    Args:
        given: where they are now; none: where they were, or beside the file.

    Raises:
        DistillError: as `again`.
    """
    request = request_of(path, tags)
    files, notes = _found(path, tags, request, given)
    now = [source_file(file) for file in files]
    sources = tuple(old if old.sha256 == new.sha256 else new for old, new in zip(tags.sources, now, strict=True))
    if tags.version != distill.__version__:
        notes.append(
            f"{path.name} was made by distill {tags.version!r:.20}, this is {distill.__version__}: it may be another sound."
        )
    assert tags.seed is not None
    return Repeat(request, request.with_files(files), tags.seed, sources, tuple(notes))


def request_of(path: Path, tags: SoundTags) -> GenerationSettings:
    """The settings that a sound was made with.

    Raises:
        DistillError: it was not made by a model's prior, or with settings that this version has not.
    """
    if tags.verb == "reconstruct" and len(tags.sources) == 1:
        line = f"distill reconstruct {shell_quoted(tags.model)} {shell_quoted(tags.sources[0].name)}"
        raise DistillError(f"{path.name} is a recording that went through a codec: `{line}` makes it again.")
    if tags.verb not in MAKEABLE or tags.seed is None:
        raise DistillError(
            f"{path.name} was made by {tags.verb[:40]!r}, and not by a model and a seed: it cannot be made again."
        )
    try:
        request = GenerationSettings.model_validate(tags.request)
    except ValidationError as error:
        sentence = describe_invalid(error)[:200]
        raise DistillError(f"{path.name} asks for what this distill does not know: {sentence}") from error
    whole = request.seed is not None and request.seed <= tags.seed < request.seed + request.count
    if (request.verb or "generate") != tags.verb or not whole or len(request.files) != len(tags.sources):
        raise DistillError(f"{path.name} has tags that contradict each other. Use another copy of it.")
    return request


def model_of(path: Path, tags: SoundTags, model: str | None, device: str) -> tuple[LoadedVQModel, list[str]]:
    """The model that made a sound, and what is to be said of it: by its name if that is still the same, else any of the
    library that is.

    Raises:
        DistillError: there is none, and none is named.
    """
    chosen = choose_device(device)
    if model is not None:
        loaded = load_model(find_model(model), chosen)
        other = loaded.digest != tags.model_sha256
        return loaded, [
            f"{loaded.path.stem} is not the model that made {path.name}: it makes another sound."
        ] if other else []
    named: LoadedVQModel | None = None
    with suppress(DistillError):  # gone, or damaged
        named = load_model(model_in_library(tags.model), chosen)
    if named is not None and named.digest == tags.model_sha256:
        return named, []
    for each in list_models():
        try:
            loaded = load_model(each, chosen)
        except DistillError:
            continue
        if loaded.digest == tags.model_sha256:
            return loaded, []
    short = f"{tags.model!r:.80} (hash {tags.model_sha256[:12]}...)"
    if named is None:
        raise DistillError(
            f"{path.name} was made by the model {short}, which is not in the library. Import it, or name it with --model."
        )
    raise DistillError(
        f"{path.name} was made by the model {short}, which was changed since: it has the hash {named.digest[:12]}... now. "
        f"`--model {spoken(named.path)}` makes the request with the model as it is, and another sound."
    )


def _found(
    path: Path, tags: SoundTags, request: GenerationSettings, given: Sequence[Path]
) -> tuple[list[Path], list[str]]:
    """The recordings of a request as they lie on this machine, and what is to be said of them."""
    if not request.files and given:
        raise DistillError(f"--source {given[0]}: {path.name} was made from no recording. Leave it out.")
    if given and len(given) != len(request.files):
        raise DistillError(
            f"--source: {path.name} was made from {len(request.files)} recordings, {len(given)} are given."
        )
    files: list[Path] = []
    notes: list[str] = []
    for number, (file, source) in enumerate(zip(request.files, tags.sources, strict=True)):
        if given:
            there = [given_path(given[number])]
        else:
            name = Path(source.name).name  # never a path
            there = [] if os.fspath(file).startswith(ELSEWHERE) else [given_path(file)]
            there += [path.parent / name, Path(name)]
        there = [each for each in there if each.is_file()]
        same = next((each for each in there if source_file(each).sha256 == source.sha256), None)
        if same is not None:
            files.append(same)
        elif there and given:
            notes.append(
                f"{there[0].name} is not the recording that {path.name} was made from: it makes another sound."
            )
            files.append(there[0])
        elif there:
            raise DistillError(
                f"{path.name} was made from {source.name!r:.80}, and {there[0]} is another recording, or was changed since. "
                f"Say with --source where it is; `--source {shell_quoted(there[0])}` takes that one, and makes another sound."
            )
        else:
            missing = given[number] if given else source.name
            raise DistillError(
                f"{path.name} was made from {str(missing)!r:.80}, which is not there (neither at its place nor beside the file). "
                "Say with --source where it is."
            )
    return files, notes


def _same_sound(one: Path, other: Path) -> bool:
    """Whether two files hold the same samples."""
    try:
        return np.array_equal(read_planes(one)[0], read_planes(other)[0])
    except DistillError:  # silence is no sound to read
        return False
