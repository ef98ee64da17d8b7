"""Is it new? The copy test on the page: new sounds of a model, or dropped ones, and where each of these is from."""

from pathlib import Path
from typing import Any

import gradio as gr

from distill.events import Progress
from distill.novelty.verdict import SAID, NoveltyReport
from distill.novelty.where import WhereReport
from distill.studio.jobs import NOVELTY, Job
from distill.ui.generate_fields import How, What, fields_of, settings_from
from distill.ui.markup import bar, failed, figures, length, table, text
from distill.ui.page_state import HIDDEN, PageState, Section, user_errors

MOST_ROWS = 100


def novelty_panel(page_state: PageState, owner: gr.Textbox, what: What, how: How) -> Section:
    """Lay out the panel -> what keeps it fresh."""
    with gr.Accordion("Is it new?", open=False, elem_id="novelty-box"):
        gr.Markdown(
            "Compares 64 new sounds, made with the settings above (From a sound is left out), with your recordings: new, or your "
            "recordings played back? What counts as near is what your own held-out recordings are. Or drop sounds: those are "
            "judged, and each second of them gets the recording that it is nearest to."
        )
        with gr.Row(equal_height=False):
            files = gr.File(label="Sounds", file_count="multiple", height=150, elem_id="novelty-files")
            dataset = gr.Textbox(
                label="Dataset",
                info="Where the recordings are now. Empty: where they were.",
                max_lines=1,
                elem_id="novelty-dataset",
                min_width=200,
            )
            go = gr.Button("Judge", min_width=140, elem_id="novelty-go")
            stop = gr.Button("Stop judging", visible=False, min_width=140, elem_id="novelty-stop")
        shown = gr.HTML("", elem_id="novelty-results")

    @user_errors
    def begin(tab: str, dropped: list[str] | None, folder: str, device: str, *values: Any) -> str:
        model, settings = settings_from(*values)
        job = page_state.novelty(model, [Path(file) for file in dropped or []], settings, folder, tab, device)
        job.wait(0.3)
        return novelty_html(job)

    def end(tab: str) -> None:
        job = page_state.jobs.latest(NOVELTY, tab)
        if job is not None:
            job.stop()

    go.click(begin, [owner, files, dataset, how.device, *fields_of(what, how)], shown, **HIDDEN)
    stop.click(end, owner, None, **HIDDEN)

    def refresh(tab: str, seen: dict[str, Any]) -> list[Any]:
        job = page_state.jobs.latest(NOVELTY, tab)
        if job is None:
            return [gr.skip(), gr.skip()]
        step = (job.step.task, job.step.done) if isinstance(job.step, Progress) else ()
        signature = (job.number, job.state, job.stopping, len(job.drain()[0]), step)
        if seen.get("novelty") == signature:
            return [gr.skip(), gr.skip()]
        seen["novelty"] = signature
        return [novelty_html(job), gr.Button(visible=job.running and not job.stopping)]

    return Section([shown, stop], refresh)


def novelty_html(job: Job) -> str:
    """The verdict and its figures, or how far it is."""
    if job.error:
        return failed(job.error)
    events = job.drain()[0]
    report = next((event for event in events if isinstance(event, NoveltyReport)), None)
    places = [event for event in events if isinstance(event, WhereReport)]
    parts = [] if report is None else [report_html(report)]
    parts += [where_html(each) for each in places]
    if not job.running:
        return "".join(parts) or "<p>Stopped before there was a verdict.</p>"
    step = job.step if isinstance(job.step, Progress) else None
    share, how = (step.done / max(step.total, 1), step.task) if step else (0.0, "opening")
    return "".join(parts) + f"<p><b>{text(job.title)}</b>: {text(how)}</p>{bar(share, job.title)}"


def report_html(report: NoveltyReport) -> str:
    """A card with the verdict, its figures, and the sounds that are nearest to a recording."""
    low, high = report.copy_rate_interval
    power = "not measured" if report.power is None else f"{report.power:.0%}"
    said = [
        ("copied", f"{report.copy_rate:.0%}"),
        ("at least, at most", f"{low:.0%} to {high:.0%}"),
        ("sounds judged", f"{len(report.sounds)}"),
        ("recordings compared with", f"{report.recordings}"),
        ("of planted copies found", power),
    ]
    nearest = sorted(report.sounds, key=lambda each: (not each.copied, each.p))[:MOST_ROWS]
    rows = [
        [
            "copied" if each.copied else "",
            text(each.name),
            f"{each.p:.2g}",
            f"{text(each.nearest)} at {length(each.nearest_seconds)}",
            f"{each.unexplained:.0%}",
            length(each.run_seconds),
        ]
        for each in nearest
    ]
    titles = ["", "Sound", "Chance", "Nearest recording", "Differs by", "To the letter"]
    return (
        f'<article class="d-card"><h3>{text(report.verdict)}</h3><p>{text(SAID[report.verdict])} {text(report.reason)}</p>'
        f"{figures(said)}</article>{table(titles, rows, 'Sounds by how near they are', ['', 'f', 'n', 'f', 'n', 'n'])}"
    )


def where_html(report: WhereReport) -> str:
    """Where each second of a sound is from."""
    rows = [
        [
            f"{each.begins:.1f} to {length(each.ends)}",
            f"{text(each.nearest)} at {length(each.nearest_seconds)}",
            f"{each.unexplained:.0%}",
            "nearer than chance" if each.nearer_than_chance else "",
        ]
        for each in report.sources[:MOST_ROWS]
    ]
    name = Path(report.file).name
    return f"<h3>{text(name)}</h3>" + table(
        ["Seconds", "Nearest recording", "Differs by", ""], rows, f"Where {name} is from"
    )
