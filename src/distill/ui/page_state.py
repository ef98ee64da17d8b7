"""What the handlers of all tabs share: the jobs, the files on offer, and what may be opened."""

import contextlib
import functools
import glob
import secrets
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import gradio as gr

from distill import studio
from distill.corpus.cache import file_sha256
from distill.corpus.manifest import CorpusManifest
from distill.errors import DistillError
from distill.events import Event, SoundWritten
from distill.files import is_file_name, replacing, unused_path
from distill.instrument.request import GenerateOptions, check_generate
from distill.library.history import GenerationSettings, add_sound, begin_generation
from distill.library.models import list_models, model_in_library
from distill.modelfile.file import read_card
from distill.models.sampling import SamplingOptions
from distill.places import sounds_dir, typed_path
from distill.studio.jobs import Job, Jobs
from distill.ui.fields import in_page_words
from distill.ui.markup import text
from distill.ui.serving import Offers

P = ParamSpec("P")
R = TypeVar("R")

TRAININGS = frozenset({"codec", "prior", "synthesiser"})
LOOK, GENERATE, RECONSTRUCT, EVALUATE = "look", "generate", "reconstruct", "evaluate"
DROPPED = "dropped sounds"
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

    `refresh(owner, seen, *values)` gets the browser tab's name, what this tab has been shown (a dict of its own to
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
        self.jobs = Jobs(TRAININGS)
        self.offers = Offers()

    def folder(self, given: str | None) -> Path:
        """A folder of sounds, given by its path or by the name of a collection of dropped sounds.

        Raises:
            DistillError: none was given, or it may not be opened.
        """
        if not given or not given.strip():
            raise DistillError("Choose a folder of sounds first, or drop sounds in the Sounds tab.")
        name = given.strip()
        collection = sounds_dir() / name
        if name in self.collections():
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
        self.folder(manifest.folder)
        return None

    def has_sounds_of(self, manifest: CorpusManifest) -> bool:
        """Whether the folder a model was trained on is there, as far as this page may look."""
        try:
            return self.folder(manifest.folder).is_dir()
        except DistillError:
            return False

    def collections(self) -> list[str]:
        """Corpora that were dropped on the page, by name."""
        if not sounds_dir().is_dir():
            return []
        return sorted(each.name for each in sounds_dir().iterdir() if each.is_dir() and not each.name.startswith("."))

    def spoken(self, folder: Path) -> str:
        """How the user would name a folder: a collection by its name, others by their path."""
        return folder.name if folder.resolve().parent == sounds_dir().resolve() else str(folder)

    def models(self) -> list[str]:
        """Names of the models in the library."""
        return [path.stem for path in list_models()]

    def collect(self, files: Sequence[str], name: str | None) -> Path:
        """Copy dropped files into a folder of the library -> the folder.

        Args:
            name: a collection to begin or to add to; empty: a new one.
        """
        wanted = (name or "").strip()
        if wanted and not is_file_name(wanted):
            raise DistillError(f"{wanted!r} cannot be a folder's name. Use letters, digits and spaces.")
        folder = sounds_dir() / wanted if wanted else unused_path(sounds_dir() / DROPPED)
        for file in map(Path, files):
            alike = [each for each in folder.glob(f"{glob.escape(file.stem)}*{file.suffix}") if _same(each, file)]
            if not alike:
                with file.open("rb") as stream, replacing(unused_path(folder / file.name)) as copy:
                    shutil.copyfileobj(stream, copy)
        return folder

    def look(self, folder: Path, owner: str) -> Job:
        """Read a folder of sounds."""
        return self.jobs.start(LOOK, f"Reading {folder}", lambda stop: studio.look(folder, stop), owner, str(folder))

    def manifest(self, folder: Path) -> CorpusManifest | None:
        """What is known of a folder that was looked at."""
        job = self.jobs.latest(LOOK, about=str(folder))
        return job.result if job is not None and isinstance(job.result, CorpusManifest) else None

    def generate(
        self, settings: GenerationSettings, owner: str, audio_format: str = "wav", device: str = "auto"
    ) -> Job:
        """New sounds, written into the history one by one."""
        path = model_in_library(settings.model)
        running = self.jobs.latest(GENERATE, owner)
        if running is not None and running.running:
            raise DistillError("Sounds are being generated already. Wait until they are done, or stop.")
        options = GenerateOptions(
            settings.count,
            settings.seconds,
            settings.seed,
            SamplingOptions(settings.temperature, settings.top_k, settings.top_p),
            exact={"exact": True, "natural": False}.get(settings.ending),
            format=audio_format,
            synthesiser=settings.synthesiser,
            texture=settings.texture,
        )
        check_generate(options)

        def work(stop: threading.Event) -> Generator[Event, None, str]:
            generation = begin_generation(settings)
            yield GenerationBegun(generation.id)
            for event in studio.generate(str(path), generation.folder, options, device, stop):
                if isinstance(event, SoundWritten):
                    add_sound(generation.id, Path(event.path), event.seconds, event.seed or 0)
                yield event
            return generation.id

        return self.jobs.start(GENERATE, f"Sounds of {settings.model}", work, owner, str(path))

    def reconstruct(self, model: str, files: Sequence[Path], owner: str, device: str, synthesiser: str) -> Job:
        """Sounds through the codec."""
        path = model_in_library(model)
        out = self.room / f"reconstruction-{secrets.token_hex(6)}"

        def work(stop: threading.Event) -> Generator[Event, None, None]:
            yield from until(stop, studio.reconstruct(str(path), files, out, device, synthesiser))

        what = files[0].name if len(files) == 1 else f"{len(files)} sounds"
        return self.jobs.start(RECONSTRUCT, f"{what} through {model}", work, owner, str(path))

    def evaluate(self, model: str, corpus: str | None, owner: str, device: str, synthesiser: str) -> Job:
        """Measure what a model loses; `corpus`: a folder of sounds, empty for its own held-out ones."""
        path = model_in_library(model)
        folder = self.dataset(read_card(path).corpus_manifest, corpus)
        running = self.jobs.latest(EVALUATE, owner)
        if running is not None and running.running:
            raise DistillError(f"{running.title} is under way already. Wait until it is done, or stop it.")

        def work(stop: threading.Event) -> Generator[Event, None, None]:
            yield from until(stop, studio.evaluate(str(path), folder, device, synthesiser))

        return self.jobs.start(EVALUATE, f"Measuring {model}", work, owner, str(path))

    def training(self) -> Job | None:
        """The training that is running, if one is."""
        return next((job for job in self.jobs.running() if job.kind in TRAININGS), None)

    def refuse_while_training(self, name: str) -> None:
        """Raises DistillError where a training writes this model."""
        job = self.training()
        if job is not None and Path(job.about).stem == name:
            raise DistillError(f"{name} is being trained. Wait until that is done, or stop it first.")


def until(stop: threading.Event, events: Generator[Event, None, Any]) -> Generator[Event, None, None]:
    """Events of work that does not look at `stop` itself, up to the first one after it is set."""
    with contextlib.closing(events):
        for event in events:
            yield event
            if stop.is_set():
                return


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and file_sha256(one) == file_sha256(other)


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
