"""The fields of the Generate tab, made of the settings of a generation as the flags of `distill generate` are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from distill.errors import DistillError
from distill.instrument.tempo import with_tempo
from distill.settings.generation import FROM_SOUNDS, OF_FILES, OF_PICKING, GenerationSettings, generation_settings
from distill.settings.knobs import Knob, knobs_of
from distill.ui.extras import device_field
from distill.ui.fields import in_page_words, overrides_from
from distill.ui.markup import text

NO_FIELD = {"format", "tempo_from", *FROM_SOUNDS}
KNOBS = {knob.name: knob for knob in knobs_of(GenerationSettings) if knob.name not in NO_FIELD}
"""The settings that have a field of their own; every sound can be downloaded in either format, a recording's tempo goes into
other fields, and of the settings that name recordings one is chosen."""
VERBS = {
    "": "Nothing: new sounds",
    "continue_": "Continue: go on from it",
    "replace": "Replace: a part of it anew",
    "vary": "Vary: near it or far",
    "like": "Like: follow it",
    "more_like": "More like: of its sort",
    "bridge": "Bridge: from one to another",
    "morph": "Morph: between two",
}
"""What can be done with a sound, by the setting's name, beginning with the word that sentences call it by."""
OF_TWO = ("bridge", "morph")
DIALS = {
    "replace": ("candidates",),
    "vary": ("amount",),
    "like": ("like_strength",),
    "more_like": ("like_strength",),
    "morph": ("steps", "way", "like_strength"),
}
"""The settings that a verb takes for itself; those of others say nothing."""
ALL_DIALS = ("candidates", "amount", "steps", "way", "like_strength")
HELP_OF_NOTHING = "Choose what to do with a sound of yours. The recording itself stays as it is."
HELP_OF_REPLACE = "Fill a part of this sound anew. The likeliest way comes first."
"""In place of a help text that says how files are written on a command line."""
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
class FromSound:
    """What is done with a sound of the user's."""

    box: gr.Accordion
    verb: gr.Dropdown
    said: gr.HTML
    """What the verb does."""
    first: gr.File
    second: gr.File
    part: gr.Textbox
    heard: gr.HTML
    """The sounds that were dropped."""
    dials: dict[str, Any]

    @property
    def fields(self) -> list[Any]:
        """What is done, with which part, and the sounds."""
        return [self.verb, self.part, self.first, self.second]

    @property
    def changing(self) -> list[Any]:
        """What a verb changes."""
        return [self.said, self.first, self.second, self.part, *self.dials.values()]


class Start(NamedTuple):
    """What is asked for of a sound."""

    verb: str = ""
    """The setting's name; empty: nothing."""
    part: str = ""
    files: tuple[Path | None, ...] = ()


@dataclass(frozen=True)
class How:
    """How it is made, and the buttons that begin and end it."""

    start: FromSound
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
    placed = {"seconds", "count", "seed", *OF_PICKING, *wishes, *loops, *written, *less_usual, *ALL_DIALS}
    fields = {name: _field(knob) for name, knob in KNOBS.items() if name not in placed}
    start = _lay_out_from_sound()
    fields |= start.dials
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
    return How(start, fields, tempo_from, device, go, stop)


def _lay_out_from_sound() -> FromSound:
    with gr.Accordion("From a sound", open=False, elem_id="generate-from-box") as box:
        verb = gr.Dropdown(
            [(label, name) for name, label in VERBS.items()],
            value="",
            label="What to do with a sound",
            filterable=False,
            elem_id="generate-from",
        )
        said = gr.HTML(said_of(""), elem_id="generate-from-said")
        with gr.Row(equal_height=False):
            first, second = (
                gr.File(label=label, visible=False, height=150, min_width=200, elem_id=f"generate-from-{name}")
                for name, label in (("sound", "Sound"), ("second", "Second sound"))
            )
        heard = gr.HTML("", elem_id="generate-from-heard")
        with gr.Row():
            part = gr.Textbox(
                label="Part",
                info="From and to, in seconds of the sound.",
                placeholder="1.2-1.8",
                max_lines=1,
                visible=False,
                min_width=240,
                elem_id="generate-from-part",
            )
            dials = {name: _field(KNOBS[name], visible=False, min_width=240) for name in ALL_DIALS}
    return FromSound(box, verb, said, first, second, part, heard, dials)


def said_of(verb: str) -> str:
    """What a verb does, as HTML."""
    helps = {knob.name: knob.help for knob in knobs_of(GenerationSettings)} | {
        "": HELP_OF_NOTHING,
        "replace": HELP_OF_REPLACE,
    }
    return f'<p class="d-note">{text(in_page_words(helps[verb]))}</p>'


def shown_for(verb: str) -> list[Any]:
    """Updates for what a verb changes: the fields that it takes are seen, and no others."""
    two, dials = verb in OF_TWO, DIALS.get(verb, ())
    return [
        said_of(verb),
        gr.File(visible=verb != "", label="First sound" if two else "Sound"),
        gr.File(visible=two),
        gr.Textbox(visible=verb == "replace"),
        *(gr.update(visible=name in dials) for name in ALL_DIALS),
    ]


def _field(knob: Knob, visible: bool = True, min_width: int = 110) -> Any:
    """The field of a setting, holding its default."""
    place: dict[str, Any] = {
        "label": knob.label,
        "info": in_page_words(knob.help),
        "visible": visible,
        "elem_id": f"generate-{knob.name.replace('_', '-')}",
        "min_width": min_width,
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


def settings_from(model: str | None, *values: Any, start: Start | None = None) -> tuple[str, GenerationSettings]:
    """The model and the settings of a generation from the fields; what is empty is not set.

    Args:
        start: what is asked for of a sound; None: nothing, whatever the dials of verbs say.

    Raises:
        DistillError: something is missing or cannot be.
    """
    if not model:
        raise DistillError("Choose a model first.")
    asked = start or Start()
    given = overrides_from(list(KNOBS.values()), values)
    idle = {name for name in ALL_DIALS if name not in DIALS.get(asked.verb, ())}
    kept = {name: value for name, value in given.items() if name not in idle}
    return model, generation_settings(**kept, **_verb_of(asked))


def _verb_of(start: Start) -> dict[str, Any]:
    """The setting that names the sounds."""
    if not start.verb:
        return {}
    word, files = VERBS[start.verb].partition(":")[0], [file for file in start.files if file is not None]
    if start.verb in OF_TWO:
        if len(files) < len(OF_TWO):
            raise DistillError(f"{word}: drop two sounds under From a sound first.")
        return {start.verb: tuple(files[:2])}
    if not start.files or start.files[0] is None:
        raise DistillError(f"{word}: drop the sound under From a sound first.")
    if start.verb != "replace":
        return {start.verb: start.files[0]}
    part = start.part.replace(",", ".").replace("\N{EN DASH}", "-").strip()
    if not part:
        raise DistillError(f"{word}: give the part as FROM-TO in seconds, such as 1.2-1.8.")
    return {"replace": (part, str(start.files[0]))}


def start_of(made: GenerationSettings) -> Start:
    """What `settings_from` makes these settings of."""
    name = next((name for name in FROM_SOUNDS if getattr(made, name) is not None), "")
    return Start(name, "" if made.replace is None else made.replace[0], made.files)


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
