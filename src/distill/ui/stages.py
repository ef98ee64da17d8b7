"""The stages of training as the page offers them: what is chosen, what is learned from, what is replaced."""

import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distill import studio
from distill.corpus.collections import collection_names, folder_title
from distill.errors import DistillError
from distill.events import Event
from distill.library.models import model_in_library, name_of_folder, new_model_path
from distill.modelfile.card import ModelCard
from distill.modelfile.file import read_card
from distill.settings.auto import codec_auto, raced_sizes
from distill.settings.codec import CodecSettings
from distill.settings.prior import PriorSettings, PriorSize
from distill.settings.synthesiser import SynthesiserSettings
from distill.studio.jobs import Job
from distill.ui.extras import ALLOW_CHANGED, DATASET, DEVICE, EMBED_CODES
from distill.ui.markup import clock, day, place, text
from distill.ui.page_state import PageState

Overrides = Mapping[str, Any]


@dataclass(frozen=True)
class TrainingRequest:
    """A training as it was asked for."""

    subject: str
    name: str
    overrides: Overrides
    replace: bool = False
    resume: bool = False
    device: str = "auto"
    dataset: str | None = None
    """Where the sounds are now; empty: where they were."""
    allow_changed: bool = False
    embed_codes: bool = True


@dataclass(frozen=True)
class Stage:
    """What one stage of training needs to be laid out and started."""

    key: str
    """"codec" or "prior": the kind of its jobs and the beginning of its fields' ids."""
    title: str
    explanation: str
    settings: type[BaseModel]
    subject: str
    """What is chosen to start it, as a label."""
    subject_help: str
    named: bool
    """Whether a name for the model is asked for."""
    choices: Callable[[], list[str]]
    target: Callable[[str, str], Path]
    """Subject and name -> the model's file."""
    describe: Callable[[str], str]
    """What will be learned from, as HTML."""
    auto: Callable[[str], dict[str, Any]]
    """What the empty knobs will be; nothing where that is not known yet."""
    replaces: Callable[[Path], str]
    """What is lost when it is trained again, in a sentence; empty where nothing is."""
    work: Callable[[TrainingRequest, threading.Event], Generator[Event, None, None]]
    extras: tuple[str, ...] = (DEVICE,)
    """What `TrainingRequest` holds beside the settings that is asked for here."""
    moved: Callable[[str], bool] = lambda _subject: False
    """Whether the sounds of a subject are not where they were."""


def codec_stage(page_state: PageState) -> Stage:
    """Stage 1: a folder of sounds -> a model."""

    def describe(subject: str) -> str:
        manifest = page_state.manifest(page_state.folder(subject))
        if manifest is None:
            return '<p class="d-note">The sounds are read first; the Sounds tab shows them before.</p>'
        return (
            f"<p>{len(manifest.files)} sounds, {clock(manifest.seconds)} together: {len(manifest.train)} to learn from, "
            f"{len(manifest.val)} held out to judge by.</p>"
        )

    def auto(subject: str) -> dict[str, Any]:
        manifest = page_state.manifest(page_state.folder(subject))
        return {} if manifest is None else codec_auto(manifest.facts())

    def replaces(path: Path) -> str:
        if not path.exists():
            return ""
        card = read_card(path)
        prior = " and its prior" if card.has_prior else ""
        return (
            f"There is a model called {path.stem} of {day(card.metadata.created)}, trained on "
            f"{len(card.corpus_manifest.files)} sounds. Its codec{prior} will be replaced as soon as the new codec can be used."
        )

    def work(wanted: TrainingRequest, stop: threading.Event) -> Generator[Event, None, None]:
        folder, name = page_state.folder(wanted.subject), wanted.name or None
        return studio.train(
            folder,
            name,
            overrides=wanted.overrides,
            device=wanted.device,
            overwrite=wanted.replace,
            resume=wanted.resume,
            stop=stop,
        )

    return Stage(
        key="codec",
        title="Stage 1: the codec",
        explanation="It learns what your sounds are made of.",
        settings=CodecSettings,
        subject="Folder of sounds",
        subject_help="A path on this machine, or a collection of sounds that were dropped in the Sounds tab.",
        named=True,
        choices=collection_names,
        target=lambda subject, name: new_model_path(name or name_of_folder(page_state.folder(subject))),
        describe=describe,
        auto=auto,
        replaces=replaces,
        work=work,
    )


def prior_stage(page_state: PageState) -> Stage:
    """Stage 2: a model with a codec -> the same model with a prior."""

    def lost(card: ModelCard) -> str:
        prior = card.prior_metadata
        if prior is None:
            return ""
        return (
            f"a prior of {day(prior.training_date)} with a held-out perplexity of {prior.best_perplexity:.2f}. "
            "It will be replaced when the new one has finished its first epoch."
        )

    def auto(card: ModelCard) -> dict[str, Any]:
        resolved = studio.resolve_prior(card, {})
        positions = card.corpus_manifest.facts().positions
        raced = PriorSize._fields if raced_sizes(positions, resolved.settings.preset, resolved.origin) else ()
        return resolved.settings.model_dump(exclude=set(raced))  # what a race will choose nobody knows yet

    return _later_stage(
        page_state,
        key="prior",
        title="Stage 2: the prior",
        explanation="It learns what follows what, and makes the new sounds.",
        settings=PriorSettings,
        auto=auto,
        lost=lost,
        train=studio.train_prior_for,
        learns_from_codes=True,
    )


def synthesiser_stage(page_state: PageState) -> Stage:
    """Stage 3: a model -> the same model with a synthesiser of its own."""

    def lost(card: ModelCard) -> str:
        own = card.synthesiser_metadata
        if own is None:
            return ""
        return (
            f"a synthesiser of its own of {day(own.training_date)}, with a distance of {own.val_mrstft:.3f}. "
            "It will be replaced as soon as the new one is better than the one that every model has."
        )

    return _later_stage(
        page_state,
        key="synthesiser",
        title="Stage 3, if you like: the synthesiser",
        explanation="Every model has one that turns its spectrograms into sound; here it is fitted to your sounds.",
        settings=SynthesiserSettings,
        auto=lambda _card: {},
        lost=lost,
        train=studio.train_synth_for,
    )


def _later_stage(
    page_state: PageState,
    key: str,
    title: str,
    explanation: str,
    settings: type[BaseModel],
    auto: Callable[[ModelCard], dict[str, Any]],
    lost: Callable[[ModelCard], str],
    train: Callable[..., Generator[Event, None, None]],
    learns_from_codes: bool = False,
) -> Stage:
    """A stage that goes on with a model and the codec's own sounds.

    Args:
        lost: what the model has of it, or nothing.
        learns_from_codes: whether the codes that may be in the model do where the sounds are gone.
    """

    def replaces(path: Path) -> str:
        had = lost(read_card(path))
        return f"{path.stem} has {had}" if had else ""

    def work(wanted: TrainingRequest, stop: threading.Event) -> Generator[Event, None, None]:
        path = model_in_library(wanted.subject)
        more = {"embed_codes": wanted.embed_codes} if EMBED_CODES in extras else {}
        return train(
            str(path),
            dataset=page_state.dataset(read_card(path).corpus_manifest, wanted.dataset),
            overrides=wanted.overrides,
            device=wanted.device,
            overwrite=wanted.replace,
            allow_changed=wanted.allow_changed,
            resume=wanted.resume,
            stop=stop,
            **more,
        )

    extras = (DEVICE, *((EMBED_CODES,) if learns_from_codes else ()), DATASET, ALLOW_CHANGED)

    return Stage(
        key=key,
        title=title,
        explanation=explanation,
        settings=settings,
        subject="Model",
        subject_help="A model whose codec is trained.",
        named=False,
        choices=page_state.models,
        target=lambda subject, _name: model_in_library(subject),
        describe=lambda subject: _learned_from(page_state, subject, learns_from_codes),
        auto=lambda subject: auto(read_card(model_in_library(subject))),
        replaces=replaces,
        work=work,
        extras=extras,
        moved=lambda subject: _moved(page_state, subject),
    )


def _moved(page_state: PageState, subject: str) -> bool:
    """Whether the sounds of a model are not where they were."""
    return not page_state.has_sounds_of(read_card(model_in_library(subject)).corpus_manifest)


def _learned_from(page_state: PageState, subject: str, learns_from_codes: bool) -> str:
    """What a later stage of a model will learn from, as HTML."""
    card = read_card(model_in_library(subject))
    manifest = card.corpus_manifest
    folder = " and ".join(place(Path(folder_title(root))) for root in manifest.roots.values())
    if _moved(page_state, subject):
        codes = learns_from_codes and card.has_codes and page_state.any_folder
        without = " Without them it learns from the codes that are in the model." if codes else ""
        return (
            f'<p class="d-warn">The sounds of this model, {len(manifest.files)} in {text(folder)}, are not there any '
            f"more. Say under Dataset where they are now.{without}</p>"
        )
    return (
        f"<p>Learns from the codec's own sounds, there is nothing to select: {len(manifest.files)} sounds in "
        f"{text(folder)}, {clock(manifest.seconds)} together; {len(manifest.train)} to learn from, "
        f"{len(manifest.val)} held out.</p>"
    )


def start(page_state: PageState, stage: Stage, wanted: TrainingRequest) -> Job:
    """Begin a training.

    Raises:
        DistillError: a setting does not fit, there is nothing to learn from, or another training is running.
    """
    if not wanted.subject:
        raise DistillError(f"Choose a {stage.subject.lower()} first.")
    target = stage.target(wanted.subject, wanted.name)
    if DATASET in stage.extras:
        page_state.dataset(read_card(target).corpus_manifest, wanted.dataset)
    title = f"The {stage.key} of {target.stem}"
    return page_state.jobs.start(stage.key, title, lambda stop: stage.work(wanted, stop), about=str(target))
