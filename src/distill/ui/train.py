"""The Train tab: one section for each stage, all laid out by the same function."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from distill import studio
from distill.corpus.collections import collection_names, folder_title
from distill.errors import DistillError
from distill.settings.knobs import Knob, knobs_of
from distill.studio.jobs import LOOK
from distill.ui.extras import DATASET, EMBED_CODES, codes_field, device_field, sounds_fields
from distill.ui.fields import knob_fields, overrides_from, shown_auto
from distill.ui.live import live_view
from distill.ui.markup import empty, failed, text
from distill.ui.page_state import HIDDEN, PageState, Section, library_signature, user_errors
from distill.ui.stages import Stage, TrainingRequest, start


@dataclass(frozen=True)
class Form:
    """What a stage asks for, and what is said of it."""

    subject: gr.Dropdown
    name: gr.Textbox
    corpus: gr.HTML
    knobs: list[Knob]
    fields: list[Any]
    """One for each of `knobs`."""
    extras: list[Any]
    """One for each of the stage's extras."""
    elsewhere: list[gr.Accordion]
    """What holds the fields for sounds that are elsewhere; empty where they are not asked for."""


@dataclass(frozen=True)
class Controls:
    """The buttons of a stage, what is asked back and warned of, and its live view."""

    train: gr.Button
    resume: gr.Button
    stop: gr.Button
    confirm: gr.Column
    question: gr.HTML
    replace: gr.Button
    cancel: gr.Button
    banner: gr.Column
    reason: gr.HTML
    use_best: gr.Button
    live: gr.HTML


def stage_section(page_state: PageState, stage: Stage) -> tuple[list[Section], gr.Dropdown]:
    """Lay out one stage -> what keeps its fields and its live view fresh, and the field of its subject."""
    gr.Markdown(f"## {stage.title}\n{stage.explanation}")
    form = _lay_out_form(stage)
    controls = _lay_out_controls(stage)
    _wire(page_state, stage, form, controls)

    def refresh_fields(owner: str, seen: dict[str, Any], subject: str | None, name: str) -> list[Any]:
        chosen = subject or _looked_at(page_state, stage, seen, owner)
        return [
            *_subject_updates(page_state, stage, seen, chosen, name, subject, form.knobs),
            *(_elsewhere_update(stage, seen, subject) for _ in form.elsewhere),
        ]

    def refresh_live(_owner: str, seen: dict[str, Any]) -> list[Any]:
        return _job_updates(page_state, stage, seen)

    asked = [form.subject, form.corpus, controls.resume, *form.fields, *form.elsewhere]
    shown = [controls.live, controls.banner, controls.reason, controls.stop, controls.train]
    sections = [Section(asked, refresh_fields, [form.subject, form.name]), Section(shown, refresh_live, often=True)]
    return sections, form.subject


def _lay_out_form(stage: Stage) -> Form:
    knobs = knobs_of(stage.settings)
    folded = [knob for knob in knobs if knob.advanced]
    plain = sorted((knob for knob in knobs if not knob.advanced), key=lambda knob: knob.name != "epochs")
    with gr.Row():
        subject = gr.Dropdown(
            stage.choices(),
            value=None,
            label=stage.subject,
            info=stage.subject_help,
            allow_custom_value=stage.named,
            elem_id=f"{stage.key}-subject",
            min_width=270,
        )
        name = gr.Textbox(
            label="Name of the model",
            info="Under this name it stands in the library.",
            placeholder="the folder's name",
            visible=stage.named,
            elem_id=f"{stage.key}-model-name",
            min_width=270,
        )
    corpus = gr.HTML("", elem_id=f"{stage.key}-corpus")
    with gr.Row():
        fields = knob_fields(stage.key, plain)
    with gr.Accordion("Advanced settings", open=False, elem_id=f"{stage.key}-advanced"), gr.Row():
        fields += knob_fields(stage.key, folded)
        extras: list[Any] = [device_field(stage.key)]
        if EMBED_CODES in stage.extras:
            extras.append(codes_field(stage.key))
    elsewhere = []
    if DATASET in stage.extras:
        title = "The sounds are elsewhere, or have changed"
        with gr.Accordion(title, open=False, elem_id=f"{stage.key}-elsewhere") as box, gr.Row():
            extras += sounds_fields(stage.key, collection_names())
        elsewhere.append(box)
    return Form(subject, name, corpus, [*plain, *folded], fields, extras, elsewhere)


def _lay_out_controls(stage: Stage) -> Controls:
    with gr.Row():
        train = gr.Button(
            f"Train the {stage.key}", variant="primary", scale=0, min_width=260, elem_id=f"{stage.key}-train"
        )
        resume = gr.Button(
            "Go on with the unfinished training", visible=False, scale=0, min_width=330, elem_id=f"{stage.key}-resume"
        )
        stop = gr.Button("Stop and keep the best", visible=False, scale=0, min_width=260, elem_id=f"{stage.key}-stop")
    with gr.Column(visible=False, elem_id=f"{stage.key}-confirm") as confirm:
        question = gr.HTML(padding=True)
        with gr.Row():
            replace = gr.Button("Replace it", variant="stop", scale=0, min_width=220, elem_id=f"{stage.key}-replace")
            cancel = gr.Button("Keep what is there", scale=0, min_width=220, elem_id=f"{stage.key}-cancel")
    with gr.Column(visible=False, elem_classes="d-banner", elem_id=f"{stage.key}-banner") as banner:
        reason = gr.HTML(padding=True)
        use_best = gr.Button("Stop and use best checkpoint", variant="stop", elem_id=f"{stage.key}-use-best")
    live = gr.HTML("", elem_id=f"{stage.key}-live")
    return Controls(train, resume, stop, confirm, question, replace, cancel, banner, reason, use_best, live)


def _wire(page_state: PageState, stage: Stage, form: Form, controls: Controls) -> None:
    """What each button does."""

    def begin(subject: str, name: str | None, values: Sequence[Any], **how: Any) -> str:
        knobs = form.knobs
        more: dict[str, Any] = dict(zip(stage.extras, values[len(knobs) :], strict=True))
        overrides = {} if how.get("resume") else overrides_from(knobs, values[: len(knobs)])
        job = start(page_state, stage, TrainingRequest(subject, name or "", overrides, **more, **how))
        job.wait(0.05)
        return live_view(page_state, job).html

    @user_errors
    def ask_or_begin(subject: str | None, name: str, *values: Any) -> tuple[Any, Any, Any]:
        if not subject:
            raise DistillError(f"Choose a {stage.subject.lower()} first.")
        loss = stage.replaces(stage.target(subject, name or ""))
        if loss:
            return gr.Column(visible=True), f"<p>{text(loss)}</p>", gr.skip()
        return gr.Column(visible=False), "", begin(subject, name, values)

    @user_errors
    def begin_anew(subject: str, name: str, *values: Any) -> tuple[Any, Any]:
        return gr.Column(visible=False), begin(subject, name, values, replace=True)

    @user_errors
    def go_on(subject: str, name: str, *values: Any) -> str:
        return begin(subject, name, values, resume=True)

    def end() -> None:
        job = page_state.jobs.latest(stage.key)
        if job is not None:
            job.stop()

    asked = [form.subject, form.name, *form.fields, *form.extras]
    confirm, live = controls.confirm, controls.live
    controls.train.click(ask_or_begin, asked, [confirm, controls.question, live], **HIDDEN)
    controls.replace.click(begin_anew, asked, [confirm, live], **HIDDEN)
    controls.cancel.click(lambda: gr.Column(visible=False), None, confirm, **HIDDEN)
    controls.resume.click(go_on, asked, live, **HIDDEN)
    controls.stop.click(end, None, None, **HIDDEN)
    controls.use_best.click(end, None, None, **HIDDEN)


def _looked_at(page_state: PageState, stage: Stage, seen: dict[str, Any], owner: str) -> str | None:
    """The folder that this browser tab has looked at, offered once where a folder is asked for."""
    look = page_state.jobs.latest(LOOK, owner) if stage.named else None
    if look is None or look.running or look.error or seen.get(f"{stage.key} offered") == look.number:
        return None
    seen[f"{stage.key} offered"] = look.number
    return folder_title(Path(look.about))


def _subject_updates(
    page_state: PageState,
    stage: Stage,
    seen: dict[str, Any],
    subject: str | None,
    name: str,
    written: str | None,
    knobs: Sequence[Knob],
) -> list[Any]:
    """Updates for the subject's field, what is said of it, the resume button and every knob's placeholder."""
    updates = [gr.skip()] * (3 + len(knobs))
    choices = stage.choices()
    known = seen.get(f"{stage.key} choices", choices)
    changed: dict[str, Any] = {}
    if seen.get(f"{stage.key} choices") != choices:
        seen[f"{stage.key} choices"] = changed["choices"] = choices
        new = [choice for choice in choices if choice not in known]
        if not subject or not (stage.named or subject in choices):
            subject = next(iter(new or choices), None)
    if subject != written:  # else the field is left alone: someone may be typing in it
        changed["value"] = subject
    if changed:
        updates[0] = gr.Dropdown(**changed)
    idle = page_state.jobs.training() is None
    look = page_state.jobs.latest(LOOK)
    signature = (subject, name, idle, library_signature() if idle else (), (look.number, look.state) if look else ())
    if seen.get(f"{stage.key} subject") == signature:
        return updates
    seen[f"{stage.key} subject"] = signature
    auto: dict[str, Any] = {}
    resumable = False
    if not subject:
        updates[1] = empty("Nothing chosen yet." if stage.named else "No model yet: train a codec first.")
    else:
        try:
            updates[1] = stage.describe(subject)
            auto = stage.auto(subject)
            resumable = idle and studio.can_resume(stage.target(subject, name or ""), stage.key)
        except DistillError as error:
            updates[1] = failed(str(error))
    updates[2] = gr.Button(visible=resumable)
    if seen.get(f"{stage.key} auto") != auto:  # a field that is sent again may lose what is being typed into it
        seen[f"{stage.key} auto"] = auto
        updates[3:] = shown_auto(knobs, auto)
    return updates


def _elsewhere_update(stage: Stage, seen: dict[str, Any], subject: str | None) -> Any:
    """The fields for sounds that are elsewhere open by themselves when a model is chosen whose sounds are gone."""
    if seen.get(f"{stage.key} elsewhere") == subject:
        return gr.skip()
    seen[f"{stage.key} elsewhere"] = subject
    try:
        return gr.Accordion(open=True) if subject and stage.moved(subject) else gr.skip()
    except DistillError:
        return gr.skip()


def _job_updates(page_state: PageState, stage: Stage, seen: dict[str, Any]) -> list[Any]:
    """Updates for the live view, the banner, its reason, and the buttons."""
    job = page_state.jobs.latest(stage.key)
    busy = page_state.jobs.training() is not None
    updates = [gr.skip()] * 5
    if seen.get(f"{stage.key} busy") != busy:
        seen[f"{stage.key} busy"] = busy
        updates[4] = gr.Button(interactive=not busy)
    if job is None:
        return updates
    signature = (job.number, job.state, job.stopping, round(job.elapsed) if job.running else 0)
    if seen.get(f"{stage.key} live") != signature:
        seen[f"{stage.key} live"] = signature
        view = live_view(page_state, job)
        updates[0] = view.html
        warning = "" if job.stopping else view.warning
        if seen.get(f"{stage.key} warning") != warning:
            seen[f"{stage.key} warning"] = warning
            updates[1] = gr.Column(visible=bool(warning))
            updates[2] = f'<div role="alert"><h3>Memorization is likely</h3><p>{text(warning)}</p></div>'
        updates[3] = gr.Button(visible=view.running and not job.stopping)
    return updates
