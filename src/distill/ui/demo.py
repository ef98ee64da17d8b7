"""The whole way on sounds that the program renders itself: the page's own steps, one after the other."""

import threading
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import gradio as gr

from distill.errors import DistillError
from distill.events import Event, Progress
from distill.files import unused_path
from distill.library.models import new_model_path
from distill.places import sounds_dir
from distill.studio.demo import LONG_PIECE, ONE_SHOTS
from distill.studio.jobs import Job
from distill.synthetic.demo_sounds import write_embedded_corpus
from distill.ui.markup import bar, failed, text
from distill.ui.page_state import HIDDEN, PageState, Section, user_errors
from distill.ui.stages import Overrides, Stage, TrainingRequest, start

DEMO = "demo"
COLLECTION = "demo sounds"
STEPS = ("rendering sounds", "training the codec", "training the prior", "generating")


def demo_panel(page_state: PageState, stages: Sequence[Stage], owner: gr.Textbox) -> Section:
    """Lay it out -> what keeps it fresh."""
    with gr.Accordion("No sounds at hand?", open=False, elem_id="demo-box"):
        gr.Markdown(
            "The demo renders 40 sounds, trains a model on them and generates new ones, in about four minutes. "
            "The other tabs show it at work, and everything stays: the sounds, the model and what it made."
        )
        with gr.Row():
            go = gr.Button("Run the demo", scale=0, min_width=200, elem_id="demo-go")
            stop = gr.Button("Stop the demo", visible=False, scale=0, min_width=200, elem_id="demo-stop")
        state = gr.HTML("", elem_id="demo-state")

    @user_errors
    def begin(tab: str) -> str:
        return demo_html(run_demo(page_state, stages, tab))

    def end() -> None:
        job = page_state.jobs.latest(DEMO)
        if job is not None:
            job.stop()

    go.click(begin, owner, state, **HIDDEN)
    stop.click(end, None, None, **HIDDEN)

    def refresh(_owner: str, seen: dict[str, Any]) -> list[Any]:
        job = page_state.jobs.latest(DEMO)
        if job is None:
            return [gr.skip()] * 3
        step = job.step.done if isinstance(job.step, Progress) else 0
        signature = (job.number, job.state, job.stopping, step)
        if seen.get(DEMO) == signature:
            return [gr.skip()] * 3
        seen[DEMO] = signature
        return [
            demo_html(job),
            gr.Button(visible=job.running and not job.stopping),
            gr.Button(interactive=not job.running),
        ]

    return Section([state, stop, go], refresh)


def run_demo(
    page_state: PageState, stages: Sequence[Stage], owner: str, settings: Mapping[str, Overrides] | None = None
) -> Job:
    """Begin it, as if everything were clicked; its model gets a name that none has.

    Args:
        settings: for each stage, what is not left as it is.

    Raises:
        DistillError: a training is running.
    """
    busy = page_state.jobs.training()
    if busy is not None or ((demo := page_state.jobs.latest(DEMO)) is not None and demo.running):
        raise DistillError("A training is running. Wait until it is done, or stop it; then run the demo.")
    by_key = {stage.key: stage for stage in stages}
    name = unused_path(new_model_path(DEMO)).stem
    given = settings or {}

    def work(stop: threading.Event) -> Generator[Event, None, str]:
        yield Progress(STEPS[0], 0, len(STEPS))
        write_embedded_corpus(sounds_dir() / COLLECTION)
        _finish(page_state.look(sounds_dir() / COLLECTION, owner), stop)
        yield Progress(STEPS[1], 1, len(STEPS))
        _finish(start(page_state, by_key["codec"], TrainingRequest(COLLECTION, name, given.get("codec", {}))), stop)
        yield Progress(STEPS[2], 2, len(STEPS))
        _finish(start(page_state, by_key["prior"], TrainingRequest(name, "", given.get("prior", {}))), stop)
        yield Progress(STEPS[3], 3, len(STEPS))
        _finish(page_state.generate(name, LONG_PIECE, owner), stop)
        _finish(page_state.generate(name, ONE_SHOTS, owner), stop)
        return name

    return page_state.jobs.start(DEMO, "The demo", work, owner)


def demo_html(job: Job) -> str:
    """How far the demo is, and where its results are."""
    if job.error:
        return failed(job.error)
    if not job.running:
        return (
            f'<p class="d-good"><b>The demo is done.</b> The model is called {text(job.result)}; its sounds are in the '
            "Generate tab, a piece of ten seconds among the earlier generations.</p>"
        )
    done = job.step.done if isinstance(job.step, Progress) else 0
    return f"<p><b>The demo</b>: {STEPS[done]}, step {done + 1} of {len(STEPS)}</p>{bar(done / len(STEPS), 'The demo')}"


def _finish(job: Job, stop: threading.Event) -> None:
    """Wait for a step.

    Raises:
        DistillError: it failed, or the demo was stopped.
    """
    while not job.wait(0.2):
        if stop.is_set():
            job.stop()
    if job.error:
        raise DistillError(job.error)
    if job.stopping or stop.is_set():
        raise DistillError("The demo was stopped; what it had made so far is kept.")
