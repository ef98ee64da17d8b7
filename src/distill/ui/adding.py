"""New recordings for a model that is trained: the form that begins it. How far it is the prior's live view shows."""

from typing import Any

import gradio as gr

from distill import studio
from distill.corpus.collections import collection_names
from distill.errors import DistillError
from distill.library.models import model_in_library
from distill.modelfile.file import read_card
from distill.studio.jobs import Job
from distill.ui.extras import device_field
from distill.ui.markup import text
from distill.ui.page_state import HIDDEN, PageState, Section, user_errors

KEY = "again"


def adding_panel(page_state: PageState) -> Section:
    """Lay it out -> what keeps it fresh."""
    gr.Markdown(
        "## New recordings\nA model learns from sounds that have come since: in its folder, or in one more. Its codec stays, "
        "and what is held out stays held out."
    )
    with gr.Row():
        model = gr.Dropdown(page_state.models(), label="Model", elem_id=f"{KEY}-model", min_width=270)
        add = gr.Dropdown(
            collection_names(),
            value=None,
            label="Add",
            info="One more folder: a path on this machine, or a collection of dropped sounds. Empty: the model's own folders.",
            allow_custom_value=True,
            elem_id=f"{KEY}-add",
            min_width=270,
        )
        go_on = gr.Checkbox(
            value=False,
            label="Continue codec",
            info="Let the codec go on for a few epochs with all sounds, instead of leaving it as it is.",
            elem_id=f"{KEY}-continue_codec",
            min_width=200,
        )
        device = device_field(KEY)
    button = gr.Button("Train again", scale=0, min_width=220, elem_id=f"{KEY}-train")
    said = gr.HTML("", elem_id=f"{KEY}-said")

    @user_errors
    def begin(name: str | None, folder: str | None, goes_on: bool, where: str) -> str:
        job = train_again(page_state, name or "", folder or "", goes_on, where)
        return f"<p><b>{text(job.title)}</b>: stage 2 shows how far it is, and has the button that stops it.</p>"

    button.click(begin, [model, add, go_on, device], said, **HIDDEN)

    def refresh(_owner: str, seen: dict[str, Any], chosen: str | None) -> list[Any]:
        names, collections = page_state.models(), collection_names()
        busy = page_state.jobs.training() is not None
        if seen.get(KEY) == (names, collections, busy):
            return [gr.skip()] * 3
        seen[KEY] = (names, collections, busy)
        kept = chosen if chosen in names else next(iter(names), None)
        return [
            gr.Dropdown(choices=names, value=kept),
            gr.Dropdown(choices=collections),
            gr.Button(interactive=not busy),
        ]

    return Section([model, add, button], refresh, [model])


def train_again(page_state: PageState, model: str, folder: str, continue_codec: bool, device: str = "auto") -> Job:
    """Begin it, as a training of the prior.

    Args:
        folder: whose sounds are added; empty: the model's own folders are looked through.

    Raises:
        DistillError: no model is chosen, a folder may not be opened from this page, or another training is running.
    """
    if not model:
        raise DistillError("Choose a model first.")
    path = model_in_library(model)
    page_state.dataset(read_card(path).corpus_manifest, None)
    add = page_state.folder(folder) if folder.strip() else None
    title = f"{path.stem} with new recordings"
    return page_state.jobs.start(
        "prior",
        title,
        lambda stop: studio.train_again(str(path), add, continue_codec, None, device, stop),
        about=str(path),
    )
