"""What the handlers of all tabs share: the jobs, the files on offer, and what may be opened."""

import functools
import hashlib
import os
import secrets
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from distill import studio
from distill.audio.reading import UnusableSound, kind_of
from distill.corpus.collections import find_collection
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.events import Event, SoundWritten
from distill.files import safe_file_name, unreserved
from distill.library.history import add_sound, begin_generation
from distill.library.models import list_models, model_in_library
from distill.modelfile.file import read_card
from distill.places import sounds_dir, typed_path
from distill.settings.generation import GenerationSettings
from distill.studio.jobs import EVALUATE, GENERATE, LOOK, NOVELTY, RECONSTRUCT, Job, Jobs, until_stopped
from distill.studio.judging import COUNT as NOVELTY_COUNT
from distill.ui.fields import in_page_words
from distill.ui.markup import text
from distill.ui.serving import Offers

P = ParamSpec("P")
R = TypeVar("R")

MOST_UPLOAD = "1gb"
"""The largest file that can be dropped."""
HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""How events are wired that are the page's own business."""


@dataclass(frozen=True)
class GenerationBegun(Event):
    """A generation has its place in the history."""

    id: str


@dataclass(frozen=True)
class Section:
    """A piece of the page that keeps itself up to date.

    `refresh(tab, seen, *values)` gets the browser tab's name, what this tab has been shown (a dict of its own to
    write in, whose values are replaced, never changed) and the values of `inputs`; it returns one update for each of
    `outputs`. It may be asked twice before anything is shown, the first time with a copy of `seen`, so it does nothing else.
    """

    outputs: Sequence[Any]
    refresh: Callable[..., list[Any]]
    inputs: Sequence[Any] = field(default_factory=tuple)
    often: bool = False
    """Whether there is news every second while something is at work."""


class PageState:
    """One for each server."""

    def __init__(self, room: Path, any_folder: bool) -> None:
        """
        Args:
            room: a folder for what need not outlive the server.
            any_folder: whether the page's user is this machine's, who may open any folder by its path; else only
                sounds that were dropped can be opened.
        """
        self.room = room
        self.uploads = room / "uploads"
        self.any_folder = any_folder
        self.jobs = Jobs()
        self.offers = Offers()

    def folder(self, given: str | None) -> Path:
        """A folder of sounds, given by its path or by the name of a collection of dropped sounds.

        Raises:
            DistillError: none was given, or it may not be opened.
        """
        if not given or not given.strip():
            raise DistillError("Choose a folder of sounds first, or drop sounds in the Sounds tab.")
        name = given.strip()
        collection = find_collection(name)
        if collection is not None:
            return collection
        path = typed_path(name)
        if self.any_folder and path.is_absolute():
            return path
        inside = path.resolve().is_relative_to(sounds_dir().resolve())
        if not inside:
            remedy = "Give its whole path, from / on." if self.any_folder else "Drop the sounds on the page instead."
            raise DistillError(f"{name} cannot be opened from this page. {remedy}")
        return path

    def dataset(self, manifest: CorpusManifest, given: str | None) -> Path | None:
        """Where the sounds of a model are: where the user says; None: where they were when it was trained.

        Raises:
            DistillError: that may not be opened from this page.
        """
        if given and given.strip():
            return self.folder(given)
        for folder in manifest.roots.values():
            self.folder(str(folder))
        return None

    def has_sounds_of(self, manifest: CorpusManifest) -> bool:
        """Whether the folder a model was trained on is there, as far as this page may look."""
        try:
            return all(self.folder(str(folder)).is_dir() for folder in manifest.roots.values())
        except DistillError:
            return False

    def dropped_sound(self, given: Mapping[str, Any] | None) -> Path | None:
        """A sound that was dropped into a field (as Gradio's FileData says it), under the name that the user gave it.

        Raises:
            DistillError: it was not dropped on this page, or it is no sound.
        """
        if not given:
            return None
        path = Path(f"{given.get('path')}")
        name = Path(f"{given.get('orig_name') or path.name}").name
        if not path.resolve().is_relative_to(self.uploads.resolve()) or not path.is_file():
            raise DistillError(f"{name} is not among the sounds that were dropped on this page. Drop it again.")
        try:
            kind_of(path)
        except UnusableSound as reason:
            raise DistillError(
                f"{name} cannot be used ({reason}): choose another file, or export it again as WAV."
            ) from reason
        return self._called(path, name, path.parent.name)

    def drop_again(self, path: Path) -> str:
        """A sound of the history, to be put into a field as if it had been dropped -> where it is for that."""
        return str(self._called(path, path.name, hashlib.sha256(os.fsencode(path)).hexdigest()[:32]))

    def _called(self, path: Path, name: str, place: str) -> Path:
        """The file at a place of its own under another name, without a second copy where that can be."""
        wanted = unreserved(safe_file_name(name)) or path.name
        if path.name == wanted and path.is_relative_to(self.room):
            return path
        target = self.room / "named" / place / wanted
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, target)
        return target

    def models(self) -> list[str]:
        """Names of the models in the library."""
        return [path.stem for path in list_models()]

    def look(self, folder: Path, owner: str) -> Job:
        """Read a folder of sounds."""
        return self.jobs.start(LOOK, f"Reading {folder}", lambda stop: studio.look(folder, stop), owner, str(folder))

    def manifest(self, folder: Path) -> CorpusManifest | None:
        """What is known of a folder that was looked at."""
        job = self.jobs.latest(LOOK, about=str(folder))
        return job.result if job is not None and isinstance(job.result, CorpusManifest) else None

    def generate(self, model: str, settings: GenerationSettings, owner: str, device: str = "auto") -> Job:
        """New sounds, written into the history one by one."""
        path = model_in_library(model)

        def work(stop: threading.Event) -> Generator[Event, None, str]:
            generation = begin_generation(model, settings)
            yield GenerationBegun(generation.id)
            request = generation.request()
            try:
                for event in studio.generate(str(path), generation.folder, request, device, stop):
                    if isinstance(event, SoundWritten):
                        add_sound(generation.id, Path(event.path), event.seconds, event.seed or 0, event.way)
                    yield event
            except DistillError as error:
                raise DistillError(called_by_name(str(error), request.files)) from error
            return generation.id

        return self.jobs.start(GENERATE, f"Generating with {model}", work, owner, str(path))

    def reconstruct(self, model: str, files: Sequence[Path], owner: str, device: str, synthesiser: str) -> Job:
        """Sounds through the codec."""
        path = model_in_library(model)
        out = self.room / f"reconstruction-{secrets.token_hex(6)}"

        def work(stop: threading.Event) -> Generator[Event, None, None]:
            yield from until_stopped(stop, studio.reconstruct(str(path), files, out, device, synthesiser))

        what = files[0].name if len(files) == 1 else f"{len(files)} sounds"
        return self.jobs.start(RECONSTRUCT, f"{what} through {model}", work, owner, str(path))

    def evaluate(self, model: str, corpus: str | None, owner: str, device: str, synthesiser: str) -> Job:
        """Measure what a model loses; `corpus`: a folder of sounds, empty for its own held-out ones."""
        path = model_in_library(model)
        folder = self.dataset(read_card(path).corpus_manifest, corpus)

        def work(stop: threading.Event) -> Generator[Event, None, None]:
            yield from until_stopped(stop, studio.evaluate(str(path), folder, device, synthesiser))

        return self.jobs.start(EVALUATE, f"Measuring {model}", work, owner, str(path))

    def novelty(
        self,
        model: str,
        files: Sequence[Path],
        settings: GenerationSettings,
        dataset: str | None,
        owner: str,
        device: str = "auto",
    ) -> Job:
        """Judge 64 new sounds, or given ones, and say where these are from."""
        path = model_in_library(model)
        folder = self.folder(dataset) if dataset and dataset.strip() else None
        wanted = settings.model_copy(update={"count": NOVELTY_COUNT})

        def work(stop: threading.Event) -> Generator[Event, None, None]:
            given = list(files) or None
            yield from until_stopped(stop, studio.novelty(str(path), given, wanted, folder, device))
            for file in files:
                yield from until_stopped(stop, studio.where(file, str(path), folder, device))

        return self.jobs.start(NOVELTY, f"Judging {model}", work, owner, str(path))


def called_by_name(sentence: str, files: Sequence[Path]) -> str:
    """A sentence in which the user's sounds are called as the user calls them, and not by where the page has them."""
    for file in files:
        sentence = sentence.replace(str(file), file.name)
    return sentence


def library_signature() -> tuple[tuple[str, int], ...]:
    """Changes whenever a model comes, goes or is rewritten."""
    found = []
    for path in list_models():
        try:
            found.append((path.name, path.stat().st_mtime_ns))
        except OSError:
            continue
    return tuple(found)


def user_errors(handler: Callable[P, R]) -> Callable[P, R]:
    """A handler whose failures are one sentence on the page."""
    return _user_errors(handler, lambda sentence: text(in_page_words(sentence)))


def plain_user_errors(handler: Callable[P, R]) -> Callable[P, R]:
    """An endpoint whose failures are one sentence, for scripts: not as HTML."""
    return _user_errors(handler, str)


def _user_errors(handler: Callable[P, R], worded: Callable[[str], str]) -> Callable[P, R]:
    @functools.wraps(handler)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except DistillError as error:
            sentence = worded(str(error))
            raise gr.Error(sentence, duration=12, print_exception=False, title="That did not work") from error
        except gr.Error:
            raise
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            sentence = f"Something went wrong in the program ({type(error).__name__}): please report what it logged."
            raise gr.Error(sentence, print_exception=False) from error

    return run
