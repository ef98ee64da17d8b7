"""The Generate tab: new sounds as cards, the history, and what the model makes of known sounds."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from distill.audio.reading import read_planes
from distill.errors import DistillError
from distill.events import Progress
from distill.library.history import Generation, decide, find_generation, list_generations
from distill.library.models import model_in_library
from distill.modelfile.file import read_card
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.jobs import GENERATE
from distill.ui.codec import codec_panels
from distill.ui.generate_fields import (
    OF_TEMPO,
    OF_TWO,
    How,
    Start,
    What,
    fields_of,
    lay_out_how,
    lay_out_what,
    loop_values,
    settings_from,
    shown_for,
    start_of,
    values_of,
)
from distill.ui.look import CLICKS
from distill.ui.markup import day, empty, failed, length, scale, sound_card, text
from distill.ui.novelty import novelty_panel
from distill.ui.page_state import HIDDEN, PageState, Section, called_by_name, library_signature, user_errors
from distill.ui.results import NOTHING_YET, history_html, identity_of, results_html

NO_MODEL = "There is no model yet. Train one in the Train tab, or import one in the Library tab."
MOST_HISTORY = 30
Dropped = Mapping[str, Any] | None
"""A file in a field, as Gradio's FileData says it."""


@dataclass(frozen=True)
class Shown:
    """What was generated."""

    identity: gr.State
    """The generation that `results` shows."""
    results: gr.HTML
    history: gr.HTML


def generate_tab(page_state: PageState, owner: gr.Textbox) -> tuple[Section, gr.Dropdown, gr.Button]:
    """Lay out the tab -> what keeps it fresh, the model's field, and the button that offers to train a prior."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            what = lay_out_what(page_state.models())
        with gr.Column(scale=3, min_width=280):
            how = lay_out_how()
    shown = _lay_out_shown()
    codec = codec_panels(page_state, owner, what.model, how.fields["synthesiser"], how.device)
    new = novelty_panel(page_state, owner, what, how)
    _wire_buttons(page_state, owner, what, how, shown)
    _wire_cards(page_state, owner, what, how, shown)

    def refresh(tab: str, seen: dict[str, Any], model: str | None) -> list[Any]:
        return [
            *_model_updates(page_state, seen, model),
            *_result_updates(page_state, seen, tab),
            _history_update(seen),
            *codec.refresh(tab, seen),
            *new.refresh(tab, seen),
        ]

    outputs = [
        what.model, what.note, what.train_prior, how.go, shown.identity, shown.results, how.stop, shown.history,
        *codec.outputs, *new.outputs,
    ]  # fmt: skip
    return Section(outputs, refresh, [what.model]), what.model, what.train_prior


def _lay_out_shown() -> Shown:
    identity = gr.State("")
    results = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-results")
    with gr.Accordion("Earlier generations", open=False, elem_id="generate-history-box"):
        history = gr.HTML(empty(NOTHING_YET), js_on_load=CLICKS, elem_id="generate-history")
    return Shown(identity, results, history)


def _wire_buttons(page_state: PageState, owner: gr.Textbox, what: What, how: How, shown: Shown) -> None:
    @user_errors
    def begin(
        tab: str, device: str, verb: str, part: str, first: Dropped, second: Dropped, *values: Any
    ) -> tuple[str, str]:
        files = (page_state.dropped_sound(first), page_state.dropped_sound(second)) if verb else ()
        model, settings = settings_from(*values, start=Start(verb or "", part or "", files))
        return _begin(page_state, model, settings, tab, device)

    def last_seed(identity: str) -> str:
        return f"{find_generation(identity).settings.seed}" if identity else ""

    def tempo_of(file: str | None) -> list[Any]:
        return loop_values(file) if file else [gr.skip()] * len(OF_TEMPO)

    how.tempo_from.upload(user_errors(tempo_of), how.tempo_from, [how.fields[name] for name in OF_TEMPO], **HIDDEN)
    asked = [owner, how.device, *how.start.fields, *fields_of(what, how)]
    how.go.click(begin, asked, [shown.identity, shown.results], preprocess=False, **HIDDEN)  # else only paths are given
    how.start.verb.change(shown_for, how.start.verb, how.start.changing, **HIDDEN)
    for field in (how.start.first, how.start.second):
        field.change(
            lambda *given: _heard(page_state, given),
            [how.start.first, how.start.second],
            how.start.heard,
            preprocess=False,
            **HIDDEN,
        )
    how.stop.click(lambda tab: _stop(page_state, tab), owner, None, **HIDDEN)
    what.again.click(user_errors(last_seed), shown.identity, what.fields["seed"], **HIDDEN)
    what.new.click(lambda: f"{GenerationSettings().seeded().seed}", None, what.fields["seed"], **HIDDEN)


def _wire_cards(page_state: PageState, owner: gr.Textbox, what: What, how: How, shown: Shown) -> None:
    """What the buttons on the sounds and in the history do."""

    start = how.start

    @user_errors
    def clicked(
        tab: str, identity: str, verb: str, first: str | None, second: str | None, event: gr.EventData
    ) -> tuple[Any, ...]:
        data = event._data or {}
        if data.get("act") == "use":
            made = _made_sound(data["id"], data["file"])
            sound = page_state.drop_again(made)
            gr.Info(f"{text(made.name)} is under From a sound now.", duration=5)
            is_second = verb in OF_TWO and first is not None and second is None
            files = (gr.skip(), sound) if is_second else (sound, gr.skip())
            return gr.skip(), gr.Accordion(open=True), verb or "vary", *files
        if data.get("act") in ("open", "kept", "discarded"):
            decide(data["id"], data["file"], data["act"])
        job = page_state.jobs.latest(GENERATE, tab)
        html = results_html(page_state, job if job is not None and identity_of(job) == identity else None, identity)
        return html, *[gr.skip()] * 4

    @user_errors
    def from_history(tab: str, device: str, event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        generation = find_generation(data.get("id", ""))
        values = (*_start_values(page_state, generation), *values_of(generation.model, generation.settings))
        if data.get("act") == "again":
            model_in_library(generation.model)
            return (*values, *_begin(page_state, generation.model, generation.request(), tab, device))
        return (*values, generation.id, results_html(page_state, None, generation.id))

    shown.results.click(
        clicked,
        [owner, shown.identity, start.verb, start.first, start.second],
        [shown.results, start.box, start.verb, start.first, start.second],
        **HIDDEN,
    )
    changed = [start.box, *start.fields, *fields_of(what, how), shown.identity, shown.results]
    shown.history.click(from_history, [owner, how.device], changed, **HIDDEN)


def _made_sound(identity: str, file: str) -> Path:
    """A sound of the history.

    Raises:
        DistillError: it is not there.
    """
    generation = find_generation(identity)
    found = next((generation.path_of(each) for each in generation.sounds if each.file == file), None)
    if found is None or not found.is_file():
        raise DistillError("This sound is not in the history any more. Make it again with its seed.")
    return found


def _start_values(page_state: PageState, generation: Generation) -> list[Any]:
    """What `FromSound.box` and its fields hold for a generation; sounds that are not kept any more are to be dropped again."""
    start = start_of(generation.settings)
    files: list[str | None] = [None, None]
    with suppress(DistillError):
        for number, file in enumerate(generation.request().files):
            files[number] = page_state.drop_again(file)
    return [gr.Accordion(open=True) if start.verb else gr.skip(), start.verb, start.part, *files]


def _heard(page_state: PageState, given: tuple[Dropped, ...]) -> str:
    """Sounds that were dropped to start from, to hear and to see where what is in them."""
    cards = [_heard_one(page_state, each) for each in given if each]
    return f'<div class="d-cards">{"".join(cards)}</div>' if cards else ""


def _heard_one(page_state: PageState, given: Dropped) -> str:
    try:
        path = page_state.dropped_sound(given)
    except DistillError as error:
        return failed(str(error))
    assert path is not None
    try:
        seconds = read_planes(path)[0].shape[1] / SAMPLE_RATE
    except DistillError as error:
        return failed(called_by_name(str(error), [path]))
    return sound_card(page_state.offers, path, path.name, length(seconds), strip=scale(seconds))


def _begin(page_state: PageState, model: str, settings: GenerationSettings, owner: str, device: str) -> tuple[str, str]:
    job = page_state.generate(model, settings, owner, device)
    job.wait(0.3)
    identity = identity_of(job)
    return identity, results_html(page_state, job, identity)


def _model_updates(page_state: PageState, seen: dict[str, Any], model: str | None) -> list[Any]:
    """Updates for the model's field, the note under it, the offer to train its prior, and the button."""
    updates = [gr.skip()] * 4
    names = page_state.models()
    if seen.get("generate models") != names:
        new = [name for name in names if name not in seen.get("generate models", names)]
        seen["generate models"] = names
        if model in names:
            updates[0] = gr.Dropdown(choices=names)
        else:
            model = new[0] if new else names[0] if names else None
            updates[0] = gr.Dropdown(choices=names, value=model)
    signature = (model, library_signature())
    if seen.get("generate note") == signature:
        return updates
    seen["generate note"] = signature
    ready = offer = False
    if not model or model not in names:
        updates[1] = empty(NO_MODEL)
    else:
        try:
            card = read_card(model_in_library(model))
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


def _result_updates(page_state: PageState, seen: dict[str, Any], owner: str) -> list[Any]:
    """Updates for which generation is shown, its cards, and the stop button."""
    job = page_state.jobs.latest(GENERATE, owner)
    if job is None:
        return [gr.skip()] * 3
    events = len(job.drain()[0])
    step = job.step.done if isinstance(job.step, Progress) else 0
    signature = (job.number, job.state, job.stopping, events, step)
    if seen.get("generated") == signature:
        return [gr.skip()] * 3
    seen["generated"] = signature
    own = identity_of(job)
    return [own, results_html(page_state, job, own), gr.Button(visible=job.running and not job.stopping)]


def _history_update(seen: dict[str, Any]) -> Any:
    every = list_generations(MOST_HISTORY)
    generations = [each for each in every if each.sounds]  # one that failed has nothing to show
    signature = tuple((each.id, each.sounds) for each in generations)
    if seen.get("history") == signature:
        return gr.skip()
    seen["history"] = signature
    return history_html(generations)


def _stop(page_state: PageState, owner: str) -> None:
    job = page_state.jobs.latest(GENERATE, owner)
    if job is not None:
        job.stop()
