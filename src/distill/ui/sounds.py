"""The Sounds tab: choose a folder or drop files, and see what can be learned from."""

from collections import Counter
from pathlib import Path
from typing import Any

import gradio as gr

from distill import studio
from distill.audio.formats import FORMATS
from distill.corpus.collections import DROPPED, DroppedFile, collect, collection_names, folder_title
from distill.corpus.manifest import CorpusFile, CorpusManifest
from distill.events import Progress
from distill.settings.geometry import SAMPLE_RATE
from distill.studio.jobs import LOOK, Job
from distill.ui.markup import bar, clock, empty, failed, figures, length, picture, player, table, text
from distill.ui.page_state import HIDDEN, PageState, Section, user_errors

MOST_ROWS = 500
NOTHING_YET = f"No folder chosen yet. Give one above, or drop sounds, 5 files or more: {FORMATS}."


def sounds_tab(page_state: PageState, owner: gr.Textbox) -> tuple[Section, gr.Button, gr.Dropdown]:
    """Lay out the tab -> what keeps it fresh, the button that goes on to training, and the folder's field."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            folder = gr.Dropdown(
                [],
                label="Folder of sounds",
                allow_custom_value=True,
                value=None,
                elem_id="sounds-folder",
                info="A path on this machine, or a collection of sounds that were dropped here.",
            )
            look = gr.Button("Read this folder", variant="primary", elem_id="sounds-look")
        with gr.Column(scale=3, min_width=280):
            dropped = gr.File(
                label="Or drop sounds or a folder here", file_count="multiple", height=150, elem_id="sounds-drop"
            )
            name = gr.Textbox(
                label="Name of the collection",
                info="What is dropped under the same name is added to it.",
                placeholder=DROPPED,
                elem_id="sounds-name",
            )
    found = gr.HTML(empty(NOTHING_YET), elem_id="sounds-found")
    with gr.Row():
        stop = gr.Button("Stop reading", visible=False, elem_id="sounds-stop")
        go_on = gr.Button("Train on these sounds", variant="primary", visible=False, elem_id="sounds-train")

    @user_errors
    def read(given: str | None, tab: str) -> tuple[Any, Any]:
        job = page_state.look(page_state.folder(given), tab)
        job.wait(0.4)  # what is in the cache is shown at once
        return found_html(page_state, job), gr.Button(visible=_usable(job))

    @user_errors
    def take(files: list[dict[str, Any]] | None, collection_name: str, tab: str) -> tuple[Any, ...]:
        if not files:
            return (gr.skip(),) * 5
        dropped_files = [DroppedFile(Path(each["path"]), each["orig_name"] or "") for each in files]
        kept = collect(dropped_files, collection_name)
        html, button = read(kept.name, tab)
        return gr.Dropdown(choices=collection_names(), value=kept.name), html, button, None, kept.name

    look.click(read, [folder, owner], [found, go_on], **HIDDEN)
    changed = [folder, found, go_on, dropped, name]
    dropped.upload(take, [dropped, name, owner], changed, preprocess=False, **HIDDEN)  # else only paths are given
    stop.click(lambda tab: _stop(page_state, tab), owner, None, **HIDDEN)

    def refresh(tab: str, seen: dict[str, Any]) -> list[Any]:
        updates = [gr.skip()] * 4
        collections = collection_names()
        if seen.get("collections") != collections:
            seen["collections"] = collections
            updates[0] = gr.Dropdown(choices=collections)
        job = page_state.jobs.latest(LOOK, tab)
        if job is not None:
            step = job.step.done if isinstance(job.step, Progress) else 0
            signature = (job.number, job.state, step)
            if seen.get("looked") != signature:
                if "looked" not in seen and job.about:
                    updates[0] = gr.Dropdown(choices=collections, value=folder_title(Path(job.about)))
                seen["looked"] = signature
                updates[1:] = [
                    found_html(page_state, job),
                    gr.Button(visible=_usable(job)),
                    gr.Button(visible=job.running),
                ]
        return updates

    return Section([folder, found, go_on, stop], refresh), go_on, folder


def found_html(page_state: PageState, job: Job) -> str:
    """What a look at a folder has found, or how far it is."""
    if job.running:
        step = job.step if isinstance(job.step, Progress) else None
        share, sentence = (step.done / max(step.total, 1), f"{step.done} of {step.total}") if step else (0.0, "")
        item = text(step.item) if step else ""
        return f"<p>Reading sounds {sentence} <span class='d-note'>{item}</span></p>{bar(share, 'Reading sounds')}"
    if job.error:
        return failed(job.error)
    if not isinstance(job.result, CorpusManifest):
        return empty("Stopped before all sounds were read. What was read need not be read again.")
    return manifest_html(page_state, job.result)


def manifest_html(page_state: PageState, manifest: CorpusManifest) -> str:
    """Figures, the table of what is usable, and the table of what is not."""
    copies = Counter((file.group, file.span) for file in manifest.files)
    doubled = len(manifest.files) - len(copies)
    parts = [
        figures(
            [
                ("usable sounds", f"{len(manifest.files)}"),
                ("together", clock(manifest.seconds)),
                ("to learn from", f"{len(manifest.train)}"),
                ("held out to judge by", f"{len(manifest.val)}"),
                ("copies of others", f"{doubled}"),
                ("skipped", f"{len(manifest.skipped)}"),
            ]
        )
    ]
    if manifest.recordings:
        parts += [f'<p class="d-note">{text(sentence)}</p>' for sentence in studio.said_of_pieces(manifest)]
    first = {(file.group, file.span): file.name for file in reversed(manifest.files)}
    rows = [
        _row(page_state, manifest, file, copies[file.group, file.span], first[file.group, file.span])
        for file in manifest.files[:MOST_ROWS]
    ]
    titles = ["Picture", "Sound", "Length", "Format", "Use"]
    parts.append(table(titles, rows, "Usable sounds", ["", "", "n", "n", "f"]))
    if len(manifest.files) > MOST_ROWS:
        parts.append(f'<p class="d-note">and {len(manifest.files) - MOST_ROWS} more, which are used as well.</p>')
    if manifest.skipped:
        skipped = [(text(each.name), text(each.reason)) for each in manifest.skipped[:MOST_ROWS]]
        parts.append("<h3>Skipped</h3>" + table(["File", "Why"], skipped, "Skipped files", ["f", ""]))
    return "".join(parts)


def _row(page_state: PageState, manifest: CorpusManifest, file: CorpusFile, copies: int, first: str) -> list[str]:
    path = manifest.place(file.source)
    address, shown = page_state.offers.player(path), ""
    if file.span is None:
        shown = picture(page_state.offers.picture(path), file.name)
    else:  # a media fragment: the recording is played from where the piece begins to where it ends
        start, stop = (sample / SAMPLE_RATE for sample in file.span)
        address += f"#t={start:.3f},{stop:.3f}"
    use = "held out" if file.split == "val" else "learned from"
    if copies > 1:
        alike = f"one of {copies} alike" if first == file.name else f"like {text(first)}"
        use += f"<br><span class='d-fair'>{alike}</span>"
    use += "".join(f"<br><span class='d-fair'>{text(note)}</span>" for note in file.notes)
    channels = {1: "mono", 2: "stereo"}.get(file.channels, f"{file.channels} channels")
    return [
        shown,
        f'<div class="d-sound"><span>{text(file.name)}</span>{player(address, file.name)}</div>',
        length(file.seconds),
        f"{file.native_rate / 1000:g} kHz<br>{channels}",
        use,
    ]


def _usable(job: Job) -> bool:
    return isinstance(job.result, CorpusManifest)


def _stop(page_state: PageState, owner: str) -> None:
    job = page_state.jobs.latest(LOOK, owner)
    if job is not None:
        job.stop()
