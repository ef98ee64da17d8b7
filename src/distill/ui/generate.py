"""The Generate tab: new sounds as cards, and a sound through the codec."""

import secrets
from pathlib import Path
from typing import Any

import gradio as gr

from distill.bundle import read_card
from distill.errors import DistillError
from distill.events import GenerationCompleteEvent, Progress, SoundWritten
from distill.files import kept_dir
from distill.history import (
    Generation,
    GenerationSettings,
    decide,
    find_generation,
    generation_settings,
    list_generations,
)
from distill.jobs import Job
from distill.library import model_in_library
from distill.ui.desk import GENERATE, RECONSTRUCT, Desk, GenerationBegun, Section, library_signature, told
from distill.ui.fields import number_from
from distill.ui.look import CLICKS
from distill.ui.markup import bar, button, day, empty, failed, length, link, place, sound_card, text

NOTHING_YET = "Nothing generated yet."
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
    with gr.Row():
        go = gr.Button("Generate", variant="primary", scale=0, min_width=220, elem_id="generate-go")
        stop = gr.Button("Stop and keep what is done", visible=False, scale=0, min_width=220, elem_id="generate-stop")
    shown = gr.State("")
    results = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-results")
    with gr.Accordion("Earlier generations", open=False, elem_id="generate-history-box"):
        history = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-history")
    with gr.Accordion("Hear a sound through the codec", open=False, elem_id="reconstruct-box"):
        gr.Markdown("What the codec makes of a sound is the best that anything generated can sound like.")
        with gr.Row(equal_height=False):
            source = gr.File(label="A sound", height=150, elem_id="reconstruct-file")
            through = gr.Button("Through the codec", elem_id="reconstruct-go")
        heard = gr.HTML("", elem_id="reconstruct-results")
    knobs = [model, seconds, count, temperature, top_k, top_p, seed]

    @told
    def begin(whose: str, *values: Any) -> tuple[str, str]:
        settings = settings_from(*values)
        return _begin(desk, settings, whose)

    @told
    def clicked(whose: str, identity: str, event: gr.EventData) -> str:
        data = event._data or {}
        if data.get("act") in ("open", "kept", "discarded"):
            decide(data["id"], data["file"], data["act"])
        job = desk.jobs.latest(GENERATE, whose)
        return results_html(desk, job if job is not None and _identity(job) == identity else None, identity)

    @told
    def from_history(whose: str, event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        generation = find_generation(data.get("id", ""))
        made = generation.settings
        values = (made.model, made.seconds, made.count, made.temperature, made.top_k, made.top_p, f"{made.seed}")
        if data.get("act") == "again":
            model_in_library(made.model)
            return (*values, *_begin(desk, made, whose))
        return (*values, generation.id, results_html(desk, None, generation.id))

    def last_seed(identity: str) -> str:
        return f"{find_generation(identity).settings.seed}" if identity else ""

    @told
    def reconstruct(which: str | None, file: str | None, whose: str) -> str:
        if not which or not file:
            raise DistillError("Choose a model, and drop a sound.")
        return _heard(desk, desk.reconstruct(which, Path(file), whose))

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    go.click(begin, [owner, *knobs], [shown, results], **hidden)
    stop.click(lambda whose: _stop(desk, whose), owner, None, **hidden)
    again.click(told(last_seed), shown, seed, **hidden)
    new.click(lambda: f"{secrets.randbelow(NEW_SEEDS)}", None, seed, **hidden)
    results.click(clicked, [owner, shown], results, **hidden)
    history.click(from_history, owner, [*knobs, shown, results], **hidden)
    through.click(reconstruct, [model, source, owner], heard, **hidden)

    def refresh(whose: str, seen: dict[str, Any], which: str | None) -> list[Any]:
        return [
            *_model_updates(desk, seen, which),
            *_result_updates(desk, seen, whose),
            _history_update(seen),
            _heard_update(desk, seen, whose),
        ]

    outputs = [model, note, train_prior, go, shown, results, stop, history, heard]
    return Section(outputs, refresh, [model]), model, train_prior


def settings_from(
    model: str | None,
    seconds: float | None,
    count: float | None,
    temperature: float,
    top_k: float,
    top_p: float,
    seed: str | None,
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
    )


def results_html(desk: Desk, job: Job | None, identity: str) -> str:
    """The cards of one generation, and how far it is if it is under way."""
    parts = []
    if job is not None:
        parts.append(_progress(job))
    if identity:
        parts.append(_cards(desk, find_generation(identity)))
    return "".join(parts) or empty(NOTHING_YET)


def _begin(desk: Desk, settings: GenerationSettings, owner: str) -> tuple[str, str]:
    job = desk.generate(settings, owner)
    job.wait(0.3)
    identity = _identity(job)
    return identity, results_html(desk, job, identity)


def _identity(job: Job) -> str:
    return next((event.id for event in job.drain()[0] if isinstance(event, GenerationBegun)), "")


def _progress(job: Job) -> str:
    if job.error:
        return failed(job.error)
    events, _ = job.drain()
    if not job.running:
        done = next((event for event in events if isinstance(event, GenerationCompleteEvent)), None)
        if done is None:
            return ""
        early = " Stopped: what was done is kept." if job.stopping else ""
        return (
            f"<p><b>{len(done.sounds)} sounds</b>, {sum(s.seconds for s in done.sounds):.1f} s together, in "
            f"{job.elapsed:.1f} s.{early}</p>"
        )
    written = [event for event in events if isinstance(event, SoundWritten)]
    if job.stopping:
        return "<p>Stopping; what is done is kept.</p>"
    if written:
        return f"<p>{written[-1].done} of {written[-1].total} sounds</p>" + bar(
            written[-1].done / written[-1].total, "Writing sounds"
        )
    step = job.step if isinstance(job.step, Progress) else None
    share = step.done / max(step.total, 1) if step else 0.0
    return f"<p>{'Drawing codes' if step else 'Opening the model'}</p>{bar(share, 'Drawing codes')}"


def _cards(desk: Desk, generation: Generation) -> str:
    cards, discarded = [], []
    for sound in generation.sounds:
        path = generation.path_of(sound)
        data = {"id": generation.id, "file": sound.file}
        title = f"Seed {sound.seed}"
        if sound.fate == "discarded":
            back = f"Bring back seed {sound.seed}"
            discarded.append(button(back, back, {"act": "open", **data}))
            continue
        if not path.is_file():
            discarded.append(f'<span class="d-note">seed {sound.seed}: not on the disk any more, make it again</span>')
            continue
        kept = sound.fate == "kept"
        acts = [
            button(
                "Kept" if kept else "Keep", f"Keep seed {sound.seed}", {"act": "open" if kept else "kept", **data}, kept
            ),
            button("Discard", f"Discard seed {sound.seed}", {"act": "discarded", **data}),
            link("WAV", desk.offers.download(path, ".wav"), f"Download seed {sound.seed} as WAV"),
            link("FLAC", desk.offers.download(path, ".flac"), f"Download seed {sound.seed} as FLAC"),
        ]
        extra = f'<div class="d-acts">{"".join(acts)}</div>'
        cards.append(sound_card(desk.offers, path, title, length(sound.seconds), extra, kept))
    rest = f'<div class="d-acts" style="margin-top:.8rem">{"".join(discarded)}</div>' if discarded else ""
    kept_some = any(sound.fate == "kept" for sound in generation.sounds)
    where = f'<p class="d-note">Kept sounds are copied to {text(place(kept_dir()))}</p>' if kept_some else ""
    return f'<div class="d-cards">{"".join(cards)}</div>{rest}{where}'


def _model_updates(desk: Desk, seen: dict[str, Any], which: str | None) -> list[Any]:
    """Updates for the model's field, the note under it, the offer to train its prior, and the button."""
    updates = [gr.skip()] * 4
    names = desk.models()
    if seen.get("generate models") != names:
        new = [name for name in names if name not in seen.get("generate models", names)]
        seen["generate models"] = names
        which = which if which in names else new[0] if new else names[0] if names else None
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
    own = _identity(job)
    return [own, results_html(desk, job, own), gr.Button(visible=job.running and not job.stopping)]


def _history_update(seen: dict[str, Any]) -> Any:
    generations = list_generations(MOST_HISTORY)
    signature = tuple((each.id, each.sounds) for each in generations)
    if seen.get("history") == signature:
        return gr.skip()
    seen["history"] = signature
    if not generations:
        return empty(NOTHING_YET)
    return f'<div class="d-cards">{"".join(_earlier(each) for each in generations)}</div>'


def _earlier(generation: Generation) -> str:
    made, name = generation.settings, f"{generation.settings.model}, {day(generation.created)}"
    kept = sum(sound.fate == "kept" for sound in generation.sounds)
    acts = button("Show", f"Show the sounds of {name}", {"act": "show", "id": generation.id}) + button(
        "Make again", f"Make again {name}", {"act": "again", "id": generation.id}
    )
    return (
        f'<article class="d-card"><h3>{text(made.model)}</h3><dl><dt>made</dt><dd>{day(generation.created)}</dd>'
        f"<dt>sounds</dt><dd>{len(generation.sounds)} of {made.count}, {kept} kept</dd>"
        f"<dt>length</dt><dd>{made.seconds:g} s</dd><dt>seed</dt><dd>{made.seed}</dd>"
        f"<dt>creativity</dt><dd>{made.temperature:g}</dd><dt>focus</dt><dd>{made.top_k or 'all'}</dd>"
        f'<dt>diversity</dt><dd>{made.top_p:g}</dd></dl><div class="d-acts">{acts}</div></article>'
    )


def _heard_update(desk: Desk, seen: dict[str, Any], owner: str) -> Any:
    job = desk.jobs.latest(RECONSTRUCT, owner)
    signature = None if job is None else (job.number, job.state)
    if job is None or seen.get("heard") == signature:
        return gr.skip()
    seen["heard"] = signature
    return _heard(desk, job)


def _heard(desk: Desk, job: Job) -> str:
    job.wait(0.3)
    if job.error:
        return failed(job.error)
    sound = next((event for event in job.drain()[0] if isinstance(event, SoundWritten)), None)
    if sound is None or sound.source is None:
        return f"<p>{text(job.title)}: working.</p>"
    source, made = Path(sound.source), Path(sound.path)
    error = "" if sound.mel_l1_db is None else f"{sound.mel_l1_db:.2f} dB from the original"
    return (
        f'<div class="d-cards">{sound_card(desk.offers, source, f"Original: {source.name}", length(sound.seconds))}'
        f"{sound_card(desk.offers, made, 'Through the codec', error)}</div>"
    )


def _stop(desk: Desk, owner: str) -> None:
    job = desk.jobs.latest(GENERATE, owner)
    if job is not None:
        job.stop()
