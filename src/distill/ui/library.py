"""The Library tab: the models as cards, to search, sort, rename, delete, bring back, import and download."""

from pathlib import Path
from typing import Any

import gradio as gr

from distill.errors import DistillError
from distill.library import (
    LibraryEntry,
    delete_model,
    deleted_models,
    entries,
    import_model,
    rename_model,
    restore_model,
)
from distill.ui.desk import Desk, Section, library_signature, told
from distill.ui.live import HEALTH_CLASSES
from distill.ui.look import CLICKS
from distill.ui.markup import button, clock, day, empty, link, text

NEWEST, BY_NAME, BY_PERPLEXITY, BY_LENGTH = "newest first", "name", "best perplexity first", "most sound first"


def library_tab(desk: Desk) -> Section:
    """Lay out the tab -> what keeps it fresh."""
    with gr.Row(equal_height=False):
        search = gr.Textbox(label="Search", placeholder="a name or a folder", elem_id="library-search")
        order = gr.Dropdown(
            [NEWEST, BY_NAME, BY_PERPLEXITY, BY_LENGTH],
            value=NEWEST,
            label="Sort by",
            filterable=False,
            elem_id="library-sort",
        )
    with gr.Row(visible=False, elem_id="library-undo-row") as undo_row:
        deleted = gr.HTML("")
        gone = gr.State("")
        undo = gr.Button("Undo", scale=0, min_width=160, elem_id="library-undo")
    with gr.Column(visible=False, elem_id="library-rename-box") as rename_box:
        old_name = gr.Textbox(visible=False)
        new_name = gr.Textbox(label="New name", elem_id="library-new-name")
        with gr.Row():
            rename = gr.Button("Rename", variant="primary", scale=0, min_width=160, elem_id="library-rename")
            cancel = gr.Button("Cancel", scale=0, min_width=160, elem_id="library-rename-cancel")
    cards = gr.HTML(js_on_load=CLICKS, elem_id="library-cards")
    dropped = gr.File(
        label="Import: drop .distill files here", file_count="multiple", height=150, elem_id="library-import"
    )

    def shown(wanted: str, sort: str) -> str:
        return cards_html(desk, wanted or "", sort)

    @told
    def clicked(wanted: str, sort: str, event: gr.EventData) -> tuple[Any, ...]:
        data = event._data or {}
        name = str(data.get("name", ""))
        if data.get("act") == "rename":
            return (
                gr.Column(visible=True),
                name,
                gr.Textbox(value=name, label=f"New name of {name}"),
                *(gr.skip(),) * 4,
            )
        if data.get("act") != "delete":
            return (gr.skip(),) * 7
        desk.refuse_while_training(name)
        delete_model(name)
        sentence = f'<p role="status">{text(name)} is deleted.</p>'
        return gr.Column(visible=False), *(gr.skip(),) * 2, gr.Row(visible=True), sentence, name, shown(wanted, sort)

    @told
    def take_back(name: str, wanted: str, sort: str) -> tuple[Any, ...]:
        restore_model(name)
        return gr.Row(visible=False), "", shown(wanted, sort)

    @told
    def give_name(old: str, new: str, wanted: str, sort: str) -> tuple[Any, ...]:
        desk.refuse_while_training(old)
        rename_model(old, new.strip())
        return gr.Column(visible=False), shown(wanted, sort)

    @told
    def take(files: list[str] | None, wanted: str, sort: str) -> tuple[Any, ...]:
        problems = []
        for file in map(Path, files or []):
            try:
                import_model(file)
            except DistillError as error:
                problems.append(str(error).replace(str(file), file.name))
        if problems:
            gr.Warning(text(" ".join(problems)), duration=12, title="Not imported")
        return None, shown(wanted, sort)

    hidden: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    search.change(told(shown), [search, order], cards, queue=False, **hidden)
    order.change(told(shown), [search, order], cards, queue=False, **hidden)
    changed = [rename_box, old_name, new_name, undo_row, deleted, gone, cards]
    cards.click(clicked, [search, order], changed, **hidden)
    undo.click(take_back, [gone, search, order], [undo_row, deleted, cards], **hidden)
    rename.click(give_name, [old_name, new_name, search, order], [rename_box, cards], **hidden)
    new_name.submit(give_name, [old_name, new_name, search, order], [rename_box, cards], **hidden)
    cancel.click(lambda: gr.Column(visible=False), None, rename_box, **hidden)
    dropped.upload(take, [dropped, search, order], [dropped, cards], **hidden)

    def refresh(_owner: str, seen: dict[str, Any], wanted: str, sort: str) -> list[Any]:
        signature = (library_signature(), len(deleted_models()))
        if seen.get("library") == signature:
            return [gr.skip()]
        seen["library"] = signature
        return [shown(wanted, sort)]

    return Section([cards], refresh, [search, order])


def cards_html(desk: Desk, wanted: str, sort: str) -> str:
    """The cards of the models that match, in order."""
    found = entries()
    if not found:
        return empty("The library is empty. Train a model in the Train tab, or drop a .distill file below.")
    words = wanted.lower().split()
    matching = [entry for entry in found if all(word in _described(entry) for word in words)]
    if not matching:
        return empty(f"No model matches {wanted!r}.")
    matching.sort(key=lambda entry: _rank(entry, sort))
    return f'<div class="d-cards">{"".join(_card(desk, entry) for entry in matching)}</div>'


def _described(entry: LibraryEntry) -> str:
    folder = entry.card.corpus_manifest.folder if entry.card else ""
    return f"{entry.name} {folder}".lower()


def _rank(entry: LibraryEntry, sort: str) -> tuple[Any, ...]:
    card = entry.card
    if card is None:
        return (1, entry.name.lower())
    if sort == BY_PERPLEXITY:
        return (0, card.prior_metadata.best_perplexity if card.prior_metadata else float("inf"), entry.name.lower())
    if sort == BY_LENGTH:
        return (0, -card.corpus_manifest.seconds, entry.name.lower())
    if sort == NEWEST:
        newest = card.prior_metadata.training_date if card.prior_metadata else card.metadata.created
        return (0, [-ord(letter) for letter in newest], entry.name.lower())
    return (0, entry.name.lower())


def _card(desk: Desk, entry: LibraryEntry) -> str:
    name = entry.name
    acts = [
        button("Rename", f"Rename {name}", {"act": "rename", "name": name}),
        button("Delete", f"Delete {name}", {"act": "delete", "name": name}),
        link("Download", desk.offers.download(entry.path), f"Download {name}"),
    ]
    tools = f'<div class="d-acts">{"".join(acts)}</div>'
    if entry.card is None:
        return f'<article class="d-card"><h3>{text(name)}</h3><p class="d-error">{text(entry.problem)}</p>{tools}</article>'
    card, corpus = entry.card, entry.card.corpus_manifest
    verdict = card.codebook_health_snapshot.verdict
    prior = card.prior_metadata
    rows = [
        ("corpus", f"{text(Path(corpus.folder).name)}, {len(corpus.files)} sounds, {clock(corpus.seconds)}"),
        ("codes", f'<span class="d-{HEALTH_CLASSES.get(verdict, "fair")}">{text(verdict)}</span>'),
        ("codec", f"{card.metadata.val_mel_l1_db:.2f} dB held-out error, {day(card.metadata.created)}"),
        (
            "prior",
            f"perplexity {prior.best_perplexity:.2f}, {day(prior.training_date)}"
            if prior
            else '<span class="d-fair">none yet</span>',
        ),
    ]
    listed = "".join(f"<dt>{title}</dt><dd>{value}</dd>" for title, value in rows)
    return f'<article class="d-card"><h3>{text(name)}</h3><dl>{listed}</dl>{tools}</article>'
