"""The fields of the Generate tab, made of the settings of a generation as the flags of `distill generate` are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from distill.errors import DistillError
from distill.instrument.tempo import with_tempo
from distill.settings.generation import FROM_SOUNDS, OF_FILES, OF_PICKING, GenerationSettings, generation_settings
from distill.settings.knobs import Knob, knobs_of
from distill.ui.extras import device_field
from distill.ui.fields import overrides_from

NO_FIELD = {"format", *FROM_SOUNDS, "candidates", "amount", "like_strength", "steps", "way", "tempo_from"}
KNOBS = {knob.name: knob for knob in knobs_of(GenerationSettings) if knob.name not in NO_FIELD}
"""The settings that have a field; every sound can be downloaded in either format, and what begins with a recording is asked
for on the command line."""
OF_TEMPO = ("loop", "bpm", "bars", "beats")
"""What a recording's tempo fills in."""
MANY_STEPS = 300
"""A setting with more steps than a slider has pixels is typed."""


@dataclass(frozen=True)
class What:
    """What to make."""

    model: gr.Dropdown
    note: gr.HTML
    train_prior: gr.Button
    fields: dict[str, Any]
    again: gr.Button
    new: gr.Button


@dataclass(frozen=True)
class How:
    """How it is made, and the buttons that begin and end it."""

    fields: dict[str, Any]
    tempo_from: gr.UploadButton
    """A recording whose tempo goes into the fields of loops."""
    device: gr.Dropdown
    go: gr.Button
    stop: gr.Button


def lay_out_what(models: list[str]) -> What:
    """Lay out the fields of what to make."""
    model = gr.Dropdown(models, value=None, label="Model", elem_id="generate-model")
    note = gr.HTML("", elem_id="generate-note")
    train_prior = gr.Button("Train its prior", visible=False, elem_id="generate-train-prior")
    with gr.Row():
        fields = {name: _field(KNOBS[name]) for name in ("seconds", "count")}
    with gr.Row():
        fields |= {name: _field(KNOBS[name]) for name in OF_PICKING}
    fields["seed"] = _field(KNOBS["seed"])
    with gr.Row():
        again = gr.Button("Same seed again", size="sm", elem_id="generate-again", min_width=110)
        new = gr.Button("New seed", size="sm", elem_id="generate-new", min_width=110)
    return What(model, note, train_prior, fields, again, new)


def lay_out_how() -> How:
    """Lay out the fields of how it is made (in plain sight what is not further down), and the buttons."""
    less_usual = ("temperatures", "max_copy_seconds", "ending", "level", "synthesiser", "texture", "mono", "provenance")
    wishes = ("kind", "brightness", "loudness", "pitch", "onsets", "length", "strength", "tries")
    loops = ("loop", "bpm", "bars", "beats")
    written = tuple(name for name in OF_FILES if name in KNOBS)
    placed = {"seconds", "count", "seed", *OF_PICKING, *wishes, *loops, *written, *less_usual}
    fields = {name: _field(knob) for name, knob in KNOBS.items() if name not in placed}
    with gr.Accordion("Wishes", open=False, elem_id="generate-wishes"), gr.Row():
        fields |= {name: _field(KNOBS[name]) for name in wishes}
    with gr.Accordion("Loop", open=False, elem_id="generate-loop-box"), gr.Row():
        fields |= {name: _field(KNOBS[name]) for name in loops}
        tempo_from = gr.UploadButton(
            "Tempo from a recording", file_count="single", size="sm", min_width=110, elem_id="generate-tempo-from"
        )
    with gr.Accordion("Files", open=False, elem_id="generate-files"), gr.Row():
        fields |= {name: _field(KNOBS[name]) for name in written}
    with gr.Accordion("More", open=False, elem_id="generate-more"), gr.Row():
        fields |= {name: _field(KNOBS[name]) for name in less_usual}
        device = device_field("generate")
    with gr.Row():
        go = gr.Button("Generate", variant="primary", min_width=180, elem_id="generate-go")
        stop = gr.Button("Stop and keep what is done", visible=False, min_width=180, elem_id="generate-stop")
    return How(fields, tempo_from, device, go, stop)


def _field(knob: Knob) -> Any:
    """The field of a setting, holding its default."""
    place: dict[str, Any] = {
        "label": knob.label,
        "info": knob.help,
        "elem_id": f"generate-{knob.name.replace('_', '-')}",
        "min_width": 110,
    }
    if knob.choices:
        return gr.Dropdown(
            list(knob.choices), value=knob.unset if knob.annotation is bool else knob.default, filterable=False, **place
        )
    if knob.default is None:
        return gr.Textbox(placeholder=knob.unset, max_lines=1, **place)
    step = 1 if knob.annotation is int else 0.05
    low, high = knob.low or 0.0, knob.high or 0.0
    if (high - low) / step > MANY_STEPS:
        return gr.Number(knob.default, **place)
    return gr.Slider(low + step if knob.above else low, high, knob.default, step=step, **place)


def fields_of(what: What, how: How) -> list[Any]:
    """The fields that `settings_from` takes the values of, in its order."""
    every = what.fields | how.fields
    return [what.model, *(every[name] for name in KNOBS)]


def settings_from(model: str | None, *values: Any) -> tuple[str, GenerationSettings]:
    """The model and the settings of a generation from the fields; what is empty is not set.

    Raises:
        DistillError: something is missing or cannot be.
    """
    if not model:
        raise DistillError("Choose a model first.")
    return model, generation_settings(**overrides_from(list(KNOBS.values()), values))


def values_of(model: str, made: GenerationSettings) -> tuple[Any, ...]:
    """The values of `fields_of` that make these settings."""
    values = {name: getattr(made, name) for name in KNOBS}
    values |= {name: "on" if value else "off" for name, value in values.items() if KNOBS[name].annotation is bool}
    values |= {
        name: "" if value is None else f"{value}" for name, value in values.items() if KNOBS[name].default is None
    }
    return (model, *values.values())


def loop_values(file: str) -> list[Any]:
    """The values of the fields `OF_TEMPO` that make loops which go with a recording.

    Raises:
        DistillError: it has no tempo.
    """
    made, read = with_tempo(generation_settings(loop=True, tempo_from=Path(file)))
    assert read is not None
    gr.Info(read.sentence)
    return ["on", f"{made.bpm}", made.bars, made.beats]
