"""The fields of the Generate tab, and the settings of a generation that stand in them."""

import secrets
from dataclasses import dataclass
from typing import Any, get_args

import gradio as gr

from distill.errors import DistillError
from distill.instrument.request import MOST_TEXTURE
from distill.instrument.synthesisers import SynthesiserName
from distill.library.history import Ending, GenerationSettings, generation_settings
from distill.ui.extras import device_field
from distill.ui.fields import number_from

NEW_SEEDS = 1_000_000


@dataclass(frozen=True)
class What:
    """What to make."""

    model: gr.Dropdown
    note: gr.HTML
    train_prior: gr.Button
    seconds: gr.Number
    count: gr.Number
    seed: gr.Textbox
    again: gr.Button
    new: gr.Button


@dataclass(frozen=True)
class How:
    """How it is made, and the buttons that begin and end it."""

    temperature: gr.Slider
    top_k: gr.Slider
    top_p: gr.Slider
    ending: gr.Dropdown
    synthesiser: gr.Dropdown
    texture: gr.Slider
    device: gr.Dropdown
    go: gr.Button
    stop: gr.Button


def lay_out_what(models: list[str]) -> What:
    """Lay out the fields of what to make."""
    model = gr.Dropdown(models, value=None, label="Model", elem_id="generate-model")
    note = gr.HTML("", elem_id="generate-note")
    train_prior = gr.Button("Train its prior", visible=False, elem_id="generate-train-prior")
    with gr.Row():
        seconds = gr.Number(1.0, label="Length", info="In seconds, at most.", elem_id="generate-seconds", min_width=110)
        count = gr.Number(4, label="How many", info="Sounds to make.", elem_id="generate-count", min_width=110)
    seed = gr.Textbox(
        label="Seed",
        placeholder="a new one",
        max_lines=1,
        elem_id="generate-seed",
        info="The same number makes the same sounds.",
    )
    with gr.Row():
        again = gr.Button("Same seed again", size="sm", elem_id="generate-again", min_width=110)
        new = gr.Button("New seed", size="sm", elem_id="generate-new", min_width=110)
    return What(model, note, train_prior, seconds, count, seed, again, new)


def lay_out_how() -> How:
    """Lay out the fields of how it is made, and the buttons."""
    temperature, top_k, top_p = _lay_out_sampling()
    with gr.Accordion("More", open=False, elem_id="generate-more"), gr.Row():
        ending = gr.Dropdown(
            list(get_args(Ending)),
            value="auto",
            label="Ending",
            info="natural: where a sound ends; exact: filled up with further sounds.",
            elem_id="generate-ending",
            min_width=140,
        )
        synthesiser = gr.Dropdown(
            list(get_args(SynthesiserName)),
            value="auto",
            label="Synthesiser",
            info="What makes the waveform.",
            elem_id="generate-synthesiser",
            min_width=140,
        )
        texture = gr.Slider(
            0.0,
            MOST_TEXTURE,
            1.0,
            step=0.05,
            label="Texture",
            info="How much of the recordings' grain to add; 0: none, 1: as it was measured.",
            elem_id="generate-texture",
            min_width=140,
        )
        device = device_field("generate")
    with gr.Row():
        go = gr.Button("Generate", variant="primary", min_width=180, elem_id="generate-go")
        stop = gr.Button("Stop and keep what is done", visible=False, min_width=180, elem_id="generate-stop")
    return How(temperature, top_k, top_p, ending, synthesiser, texture, device, go, stop)


def _lay_out_sampling() -> tuple[gr.Slider, gr.Slider, gr.Slider]:
    temperature = gr.Slider(
        0.0,
        2.0,
        1.0,
        step=0.05,
        label="Creativity (temperature)",
        elem_id="generate-temperature",
        info="Above 1 more surprising, below 1 safer.",
    )
    top_k = gr.Slider(
        0,
        256,
        0,
        step=1,
        label="Focus (top-k)",
        elem_id="generate-top-k",
        info="Choose from this many likeliest codes only; 0: from all.",
    )
    top_p = gr.Slider(
        0.05,
        1.0,
        1.0,
        step=0.05,
        label="Diversity (top-p)",
        elem_id="generate-top-p",
        info="Choose from the likeliest codes of this joint probability; 1: from all.",
    )
    return temperature, top_k, top_p


def fields_of(what: What, how: How) -> list[Any]:
    """The fields that `settings_from` takes the values of, in its order."""
    return [
        what.model, what.seconds, what.count, how.temperature, how.top_k, how.top_p, what.seed, how.ending,
        how.synthesiser, how.texture,
    ]  # fmt: skip


def settings_from(
    model: str | None,
    seconds: float | None,
    count: float | None,
    temperature: float,
    top_k: float,
    top_p: float,
    seed: str | None,
    ending: str | None = "auto",
    synthesiser: str | None = "auto",
    texture: float | None = 1.0,
) -> GenerationSettings:
    """Settings of a generation from the fields; an empty seed is drawn.

    Raises:
        DistillError: something is missing or cannot be.
    """
    if not model:
        raise DistillError("Choose a model first.")
    if count is None or seconds is None or count < 1 or seconds <= 0:
        raise DistillError("Say how many sounds, and how long: both must be above 0.")
    written = (seed or "").strip()
    drawn = int(number_from("Seed", written, whole=True)) if written else secrets.randbelow(NEW_SEEDS)
    if drawn < 0:
        raise DistillError(f"Seed {drawn}: it must not be below 0.")
    return generation_settings(
        model=model,
        count=int(count),
        seconds=float(seconds),
        seed=drawn,
        temperature=float(temperature),
        top_k=int(top_k),
        top_p=float(top_p),
        ending=ending or "auto",
        synthesiser=synthesiser or "auto",
        texture=1.0 if texture is None else texture,
    )


def values_of(made: GenerationSettings) -> tuple[Any, ...]:
    """The values of `fields_of` that make these settings."""
    return (
        made.model, made.seconds, made.count, made.temperature, made.top_k, made.top_p, f"{made.seed}",
        made.ending, made.synthesiser, made.texture,
    )  # fmt: skip
