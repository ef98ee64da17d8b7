"""The Generate tab: new sounds as cards, the history, and what the model makes of known sounds."""

import secrets
from typing import Any, get_args

import gradio as gr

from distill.bundle import read_card
from distill.errors import DistillError
from distill.events import Progress
from distill.generation import MOST_TEXTURE
from distill.history import Ending, GenerationSettings, decide, find_generation, generation_settings, list_generations
from distill.library import model_in_library
from distill.synthesisers import SynthesiserName
from distill.ui.codec import codec_panels
from distill.ui.desk import GENERATE, HIDDEN, Desk, Section, library_signature, told
from distill.ui.extras import device_field
from distill.ui.fields import number_from
from distill.ui.look import CLICKS
from distill.ui.markup import day, empty, failed, text
from distill.ui.results import NOTHING_YET, history_html, identity_of, results_html

NO_MODEL = "There is no model yet. Train one in the Train tab, or import one in the Library tab."
MOST_HISTORY = 30
NEW_SEEDS = 1_000_000


def generate_tab(desk: Desk, owner: gr.Textbox) -> tuple[Section, gr.Dropdown, gr.Button]:
    """Lay out the tab -> what keeps it fresh, the model's field, and the button that offers to train a prior."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            model = gr.Dropdown(desk.models(), value=None, label="Model", elem_id="generate-model")
            note = gr.HTML("", elem_id="generate-note")
            train_prior = gr.Button("Train its prior", visible=False, elem_id="generate-train-prior")
            with gr.Row():
                seconds = gr.Number(
                    1.0, label="Length", info="In seconds, at most.", elem_id="generate-seconds", min_width=110
                )
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
        with gr.Column(scale=3, min_width=280):
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
    shown = gr.State("")
    results = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-results")
    with gr.Accordion("Earlier generations", open=False, elem_id="generate-history-box"):
        history = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-history")
    codec = codec_panels(desk, owner, model, synthesiser, device)
    knobs = [model, seconds, count, temperature, top_k, top_p, seed, ending, synthesiser, texture]

    @told
    def begin(whose: str, where: str, *values: Any) -> tuple[str, str]:
        return _begin(desk, settings_from(*values), whose, where)

    @told
    def clicked(whose: str, identity: str, event: gr.EventData) -> str:
        data = event._data or {}
        if data.get("act") in ("open", "kept", "discarded"):
            decide(data["id"], data["file"], data["act"])
        job = desk.jobs.latest(GENERATE, whose)
        return results_html(desk, job if job is not None and identity_of(job) == identity else None, identity)

    @told
    def from_history(whose: str, where: str, event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        generation = find_generation(data.get("id", ""))
        made = generation.settings
        values = (
            made.model, made.seconds, made.count, made.temperature, made.top_k, made.top_p, f"{made.seed}",
            made.ending, made.synthesiser, made.texture,
        )  # fmt: skip
        if data.get("act") == "again":
            model_in_library(made.model)
            return (*values, *_begin(desk, made, whose, where))
        return (*values, generation.id, results_html(desk, None, generation.id))

    def last_seed(identity: str) -> str:
        return f"{find_generation(identity).settings.seed}" if identity else ""

    go.click(begin, [owner, device, *knobs], [shown, results], **HIDDEN)
    stop.click(lambda whose: _stop(desk, whose), owner, None, **HIDDEN)
    again.click(told(last_seed), shown, seed, **HIDDEN)
    new.click(lambda: f"{secrets.randbelow(NEW_SEEDS)}", None, seed, **HIDDEN)
    results.click(clicked, [owner, shown], results, **HIDDEN)
    history.click(from_history, [owner, device], [*knobs, shown, results], **HIDDEN)

    def refresh(whose: str, seen: dict[str, Any], which: str | None) -> list[Any]:
        return [
            *_model_updates(desk, seen, which),
            *_result_updates(desk, seen, whose),
            _history_update(seen),
            *codec.refresh(whose, seen),
        ]

    outputs = [model, note, train_prior, go, shown, results, stop, history, *codec.outputs]
    return Section(outputs, refresh, [model]), model, train_prior


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


def _begin(desk: Desk, settings: GenerationSettings, owner: str, device: str) -> tuple[str, str]:
    job = desk.generate(settings, owner, device=device)
    job.wait(0.3)
    identity = identity_of(job)
    return identity, results_html(desk, job, identity)


def _model_updates(desk: Desk, seen: dict[str, Any], which: str | None) -> list[Any]:
    """Updates for the model's field, the note under it, the offer to train its prior, and the button."""
    updates = [gr.skip()] * 4
    names = desk.models()
    if seen.get("generate models") != names:
        new = [name for name in names if name not in seen.get("generate models", names)]
        seen["generate models"] = names
        if which in names:
            updates[0] = gr.Dropdown(choices=names)
        else:
            which = new[0] if new else names[0] if names else None
            updates[0] = gr.Dropdown(choices=names, value=which)
    signature = (which, library_signature())
    if seen.get("generate note") == signature:
        return updates
    seen["generate note"] = signature
    ready = offer = False
    if not which or which not in names:
        updates[1] = empty(NO_MODEL)
    else:
        try:
            card = read_card(model_in_library(which))
            ready, offer = card.has_prior, not card.has_prior
            updates[1] = (
                f'<p class="d-note">{text(len(card.corpus_manifest.files))} sounds, trained {day(card.metadata.created)}. '
                "Codec and prior are ready.</p>"
                if ready
                else '<p class="d-warn">This model has no prior yet, so it cannot make new sounds.</p>'
            )
        except DistillError as error:
            updates[1] = failed(str(error))
    updates[2] = gr.Button(visible=offer)
    updates[3] = gr.Button(interactive=ready)
    return updates


def _result_updates(desk: Desk, seen: dict[str, Any], owner: str) -> list[Any]:
    """Updates for which generation is shown, its cards, and the stop button."""
    job = desk.jobs.latest(GENERATE, owner)
    if job is None:
        return [gr.skip()] * 3
    events = len(job.drain()[0])
    step = job.step.done if isinstance(job.step, Progress) else 0
    signature = (job.number, job.state, job.stopping, events, step)
    if seen.get("generated") == signature:
        return [gr.skip()] * 3
    seen["generated"] = signature
    own = identity_of(job)
    return [own, results_html(desk, job, own), gr.Button(visible=job.running and not job.stopping)]


def _history_update(seen: dict[str, Any]) -> Any:
    generations = list_generations(MOST_HISTORY)
    signature = tuple((each.id, each.sounds) for each in generations)
    if seen.get("history") == signature:
        return gr.skip()
    seen["history"] = signature
    return history_html(generations)


def _stop(desk: Desk, owner: str) -> None:
    job = desk.jobs.latest(GENERATE, owner)
    if job is not None:
        job.stop()
