"""Endpoints with stable names for scripts (`gradio_client`): what the page does, with plain values."""

import functools
import inspect
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.events import api as gr_api

from distill.errors import DistillError
from distill.evaluation.scores import EvaluationCompleteEvent
from distill.library.history import find_generation
from distill.library.models import entries, rename_model
from distill.library.trash import delete_model, restore_model
from distill.settings.generation import FROM_SOUNDS, GenerationSettings, generation_settings
from distill.settings.knobs import flag_name, knobs_of
from distill.studio.jobs import TRAININGS
from distill.ui.adding import train_again as begin_again
from distill.ui.live import EpochMetrics, held_out_score
from distill.ui.page_state import PageState, plain_user_errors
from distill.ui.stages import Stage, TrainingRequest, start

Endpoint = Callable[..., Any]
KEYWORDS = inspect.Parameter.POSITIONAL_OR_KEYWORD
FIRST = ("model", "count", "seconds", "seed", "temperature", "top_k", "top_p", "audio_format", "ending", "synthesiser",
         "device", "texture")  # fmt: skip
"""The order of the parameters of `generate`, which scripts may give by position; settings that are new come after."""
NOT_GIVEN = ("tempo_from",)
"""A script reads the tempo of a recording itself."""
SoundFile = dict[str, Any]
"""What gradio_client's `handle_file` makes of a file of who asks."""
OF_SOUNDS: dict[str, Any] = {"replace": list[Any], "bridge": list[SoundFile], "morph": list[SoundFile]}
"""How settings that name recordings are given: `[part, file]`, `[file, file]`; the others are a file each."""


def endpoint_of_settings(made: Callable[[str, str, dict[str, Any]], list[dict[str, Any]]]) -> Endpoint:
    """`made(model, device, overrides)` as an endpoint with a parameter for each setting of a generation."""
    parameters = {"model": inspect.Parameter("model", KEYWORDS, annotation=str)}
    parameters["device"] = inspect.Parameter("device", KEYWORDS, default="auto", annotation=str)
    for knob in knobs_of(GenerationSettings):
        if knob.name in NOT_GIVEN:
            continue
        name = "audio_format" if knob.name == "format" else knob.name
        kind = str if knob.choices and knob.annotation is not bool else knob.annotation
        kind = OF_SOUNDS.get(knob.name, SoundFile) if knob.name in FROM_SOUNDS else kind
        kind = kind | None if knob.default is None else kind
        parameters[name] = inspect.Parameter(name, KEYWORDS, default=knob.default, annotation=kind)
    ordered = [parameters[name] for name in (*FIRST, *(name for name in parameters if name not in FIRST))]
    signature = inspect.Signature(ordered, return_annotation=list[dict[str, Any]])

    @functools.wraps(made)
    def endpoint(*values: Any, **named: Any) -> list[dict[str, Any]]:
        bound = signature.bind(*values, **named)
        bound.apply_defaults()
        given = dict(bound.arguments)
        model, device, given["format"] = given.pop("model"), given.pop("device"), given.pop("audio_format")
        return made(model, device, given)

    endpoint.__signature__ = signature  # type: ignore[attr-defined]
    endpoint.__annotations__ = {each.name: each.annotation for each in ordered} | {"return": list[dict[str, Any]]}
    return endpoint


def add_endpoints(page_state: PageState, stages: list[Stage]) -> None:
    """Add the endpoints to the page that is being laid out."""
    for endpoint in (
        *_looking(page_state),
        *_training(page_state, stages),
        *_making(page_state),
        *_keeping(page_state),
    ):
        gr_api(plain_user_errors(endpoint), api_name=endpoint.__name__, concurrency_limit=4)


def _looking(page_state: PageState) -> list[Endpoint]:
    """What there is to work with."""

    def models() -> list[dict[str, Any]]:
        """The models in the library."""
        return [
            {"name": entry.name, "problem": entry.problem, "has_prior": bool(entry.card and entry.card.has_prior)}
            for entry in entries()
        ]

    def look(folder: str) -> dict[str, Any]:
        """What a folder of sounds holds; waits until it is read."""
        job = page_state.look(page_state.folder(folder), f"api-{secrets.token_hex(8)}")
        job.wait()
        _raise(job.error)
        manifest = job.result
        return {
            "folder": manifest.folder,
            "files": [
                {
                    "name": file.name,
                    "seconds": file.seconds,
                    "split": file.split,
                    "group": file.group,
                    "notes": list(file.notes),
                }
                for file in manifest.files
            ],
            "skipped": [{"name": each.name, "reason": each.reason} for each in manifest.skipped],
        }

    return [models, look]


def _training(page_state: PageState, stages: list[Stage]) -> list[Endpoint]:
    """Starting each stage, and what becomes of it."""
    by_key = {stage.key: stage for stage in stages}

    def train(
        folder: str, name: str = "", settings: dict[str, Any] | None = None, replace: bool = False, device: str = "auto"
    ) -> str:
        """Start stage 1; `training` says how far it is."""
        return start(
            page_state, by_key["codec"], TrainingRequest(folder, name, settings or {}, replace, device=device)
        ).title

    def train_prior(
        model: str, settings: dict[str, Any] | None = None, replace: bool = False, device: str = "auto",
        dataset: str = "", allow_changed: bool = False, embed_codes: bool = True,
    ) -> str:  # fmt: skip
        """Start stage 2; `training` says how far it is."""
        wanted = TrainingRequest(model, "", settings or {}, replace, False, device, dataset, allow_changed, embed_codes)
        return start(page_state, by_key["prior"], wanted).title

    def train_synth(
        model: str, settings: dict[str, Any] | None = None, replace: bool = False, device: str = "auto",
        dataset: str = "", allow_changed: bool = False,
    ) -> str:  # fmt: skip
        """Start stage 3; `training` says how far it is."""
        wanted = TrainingRequest(model, "", settings or {}, replace, False, device, dataset, allow_changed)
        return start(page_state, by_key["synthesiser"], wanted).title

    def train_again(model: str, add: str = "", continue_codec: bool = False, device: str = "auto") -> str:
        """Train a model again with new recordings, in its folders or in one more; `training` says how far it is."""
        return begin_again(page_state, model, add, continue_codec, device).title

    def training() -> dict[str, Any]:
        """The newest training of any stage: what it is, how it stands, and its epochs so far."""
        jobs = [job for job in (page_state.jobs.latest(kind) for kind in sorted(TRAININGS)) if job is not None]
        if not jobs:
            return {"state": "none"}
        job = max(jobs, key=lambda each: each.number)
        epochs = [event for event in job.drain()[0] if isinstance(event, EpochMetrics)]
        last = epochs[-1] if epochs else None
        return {
            "title": job.title,
            "state": job.state,
            "error": job.error,
            "epoch": last.epoch if last else 0,
            "epochs": last.epochs if last else 0,
            "best_epoch": last.best_epoch if last else 0,
            "held_out": [held_out_score(event) for event in epochs],
        }

    def stop_training() -> str:
        """Stop the training that is running and keep its best epoch."""
        job = page_state.jobs.training()
        if job is None:
            return "No training is running."
        job.stop()
        return f"{job.title} is stopping."

    return [train, train_prior, train_synth, train_again, training, stop_training]


def _making(page_state: PageState) -> list[Endpoint]:
    """New sounds, and how good a model is."""

    @endpoint_of_settings
    def generate(model: str, device: str, overrides: dict[str, Any]) -> list[dict[str, Any]]:
        """Generate sounds and wait for them -> where each is, to open (`file`) or to fetch from this server (`url`)."""
        for name in FROM_SOUNDS:
            if overrides.get(name) is not None:
                overrides[name] = _sounds_given(page_state, name, overrides[name])
        job = page_state.generate(model, generation_settings(**overrides), f"api-{secrets.token_hex(8)}", device)
        job.wait()
        _raise(job.error)
        generation = find_generation(job.result)
        return [
            {
                "file": str(generation.path_of(sound)),
                "url": page_state.offers.player(generation.path_of(sound)),
                "seconds": sound.seconds,
                "seed": sound.seed,
            }
            for sound in generation.sounds
        ]

    def evaluate(model: str, corpus: str = "", synthesiser: str = "auto", device: str = "auto") -> dict[str, Any]:
        """Measure what a model loses on sounds it has not learned from: its own held-out ones, or those of a folder."""
        job = page_state.evaluate(model, corpus, f"api-{secrets.token_hex(8)}", device, synthesiser)
        job.wait()
        _raise(job.error)
        done = next(event for event in job.drain()[0] if isinstance(event, EvaluationCompleteEvent))
        return {**done.to_dict(), "model": model}

    return [generate, evaluate]


def _sounds_given(page_state: PageState, name: str, given: Any) -> Any:
    """The value of a setting that names recordings, which are files that were sent: never paths of the server."""

    def sent(file: Any) -> Path:
        found = page_state.dropped_sound(file) if isinstance(file, dict) else None
        if found is None:
            raise DistillError(f"{flag_name(name)}: send the sound itself, with gradio_client's handle_file.")
        return found

    if name not in OF_SOUNDS:
        return sent(given)
    if not isinstance(given, list | tuple) or len(given) != 2:
        what = "a part and a file" if name == "replace" else "two files"
        raise DistillError(f"{flag_name(name)}: give {what}.")
    first, second = given
    return (f"{first}", str(sent(second))) if name == "replace" else (sent(first), sent(second))


def _keeping(page_state: PageState) -> list[Endpoint]:
    """The models of the library."""

    def rename(model: str, new_name: str) -> str:
        """Give a model another name."""
        page_state.jobs.refuse_while_training(model)
        return rename_model(model, new_name).stem

    def delete(model: str) -> str:
        """Put a model into the trash."""
        page_state.jobs.refuse_while_training(model)
        return delete_model(model).name

    def restore(model: str = "") -> str:
        """Bring back a deleted model, or the one deleted last."""
        return restore_model(model or None).stem

    return [rename, delete, restore]


def _raise(sentence: str) -> None:
    if sentence:
        raise DistillError(sentence)
