"""The Library tab: the models as cards, to search, sort, look into, rename, delete, bring back, import and download."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from distill.errors import DistillError
from distill.library.models import LibraryEntry, entries, import_model, rename_model
from distill.library.trash import delete_model, restore_model
from distill.ui.details import details_html, rows_html, summary
from distill.ui.look import CLICKS
from distill.ui.markup import button, empty, link, text
from distill.ui.page_state import HIDDEN, PageState, Section, library_signature, user_errors
from distill.ui.trash import trash_section

NEWEST, BY_NAME, BY_PERPLEXITY, BY_LENGTH = "newest first", "name", "best perplexity first", "most sound first"


@dataclass(frozen=True)
class Listing:
    """The cards, and what decides which are shown and how."""

    search: gr.Textbox
    order: gr.Dropdown
    opened: gr.State
    """The model that all is shown of."""
    cards: gr.HTML
    html: Callable[..., str]
    """The cards anew, from the values of `how`."""

    @property
    def how(self) -> list[Any]:
        """What `html` is made from."""
        return [self.search, self.order, self.opened]


@dataclass(frozen=True)
class Undoing:
    """The line that says what was deleted, and offers to take it back."""

    row: gr.Row
    deleted: gr.HTML
    gone: gr.State
    """The model that was deleted."""
    undo: gr.Button


@dataclass(frozen=True)
class Renaming:
    """The box in which a model gets another name."""

    box: gr.Column
    old_name: gr.Textbox
    new_name: gr.Textbox
    rename: gr.Button
    cancel: gr.Button


def library_tab(page_state: PageState) -> Section:
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
    undoing, renaming = _lay_out_undoing(), _lay_out_renaming()
    opened = gr.State("")
    cards = gr.HTML(js_on_load=CLICKS, elem_id="library-cards")
    dropped = gr.File(
        label="Import: drop .distill files here", file_count="multiple", height=150, elem_id="library-import"
    )
    trash = trash_section()

    def shown(wanted: str, sort: str, looked_into: str) -> str:
        return cards_html(page_state, wanted or "", sort, looked_into)

    listing = Listing(search, order, opened, cards, shown)
    search.change(user_errors(shown), listing.how, cards, queue=False, **HIDDEN)
    order.change(user_errors(shown), listing.how, cards, queue=False, **HIDDEN)
    _wire_cards(page_state, listing, undoing, renaming)
    _wire_renaming(page_state, listing, renaming)
    _wire_import(dropped, listing)

    def refresh(owner: str, seen: dict[str, Any], *how: str) -> list[Any]:
        signature = library_signature()
        changed = seen.get("library") != signature
        seen["library"] = signature
        return [shown(*how) if changed else gr.skip(), *trash.refresh(owner, seen)]

    return Section([cards, *trash.outputs], refresh, listing.how)


def _lay_out_undoing() -> Undoing:
    with gr.Row(visible=False, elem_id="library-undo-row") as row:
        deleted = gr.HTML("")
        gone = gr.State("")
        undo = gr.Button("Undo", scale=0, min_width=160, elem_id="library-undo")
    return Undoing(row, deleted, gone, undo)


def _lay_out_renaming() -> Renaming:
    with gr.Column(visible=False, elem_id="library-rename-box") as box:
        old_name = gr.Textbox(visible=False)
        new_name = gr.Textbox(label="New name", elem_id="library-new-name")
        with gr.Row():
            rename = gr.Button("Rename", variant="primary", scale=0, min_width=160, elem_id="library-rename")
            cancel = gr.Button("Cancel", scale=0, min_width=160, elem_id="library-rename-cancel")
    return Renaming(box, old_name, new_name, rename, cancel)


def _wire_cards(page_state: PageState, listing: Listing, undoing: Undoing, renaming: Renaming) -> None:
    """What the buttons on the cards do, and undo."""

    @user_errors
    def clicked(wanted: str, sort: str, looked_into: str, event: gr.EventData) -> dict[Any, Any]:
        data = event._data or {}
        name = str(data.get("name", ""))
        match data.get("act"):
            case "rename":
                asked = gr.Textbox(value=name, label=f"New name of {name}")
                return {renaming.box: gr.Column(visible=True), renaming.old_name: name, renaming.new_name: asked}
            case "details":
                now = "" if looked_into == name else name
                return {listing.opened: now, listing.cards: listing.html(wanted, sort, now)}
            case "delete":
                page_state.jobs.refuse_while_training(name)
                delete_model(name)
                return {
                    renaming.box: gr.Column(visible=False),
                    undoing.row: gr.Row(visible=True),
                    undoing.deleted: f'<p role="status">{text(name)} is deleted.</p>',
                    undoing.gone: name,
                    listing.cards: listing.html(wanted, sort, looked_into),
                }
        return {listing.cards: gr.skip()}

    @user_errors
    def take_back(name: str, *how: str) -> tuple[Any, ...]:
        restore_model(name)
        return gr.Row(visible=False), "", listing.html(*how)

    changed = [
        renaming.box, renaming.old_name, renaming.new_name, undoing.row, undoing.deleted, undoing.gone, listing.opened,
        listing.cards,
    ]  # fmt: skip
    listing.cards.click(clicked, listing.how, changed, **HIDDEN)
    undoing.undo.click(take_back, [undoing.gone, *listing.how], [undoing.row, undoing.deleted, listing.cards], **HIDDEN)


def _wire_renaming(page_state: PageState, listing: Listing, renaming: Renaming) -> None:
    @user_errors
    def give_name(old: str, new: str, *how: str) -> tuple[Any, ...]:
        page_state.jobs.refuse_while_training(old)
        rename_model(old, new.strip())
        return gr.Column(visible=False), listing.html(*how)

    given = [renaming.old_name, renaming.new_name, *listing.how]
    renaming.rename.click(give_name, given, [renaming.box, listing.cards], **HIDDEN)
    renaming.new_name.submit(give_name, given, [renaming.box, listing.cards], **HIDDEN)
    renaming.cancel.click(lambda: gr.Column(visible=False), None, renaming.box, **HIDDEN)


def _wire_import(dropped: gr.File, listing: Listing) -> None:
    @user_errors
    def take(files: list[str] | None, *how: str) -> tuple[Any, ...]:
        problems = []
        for file in map(Path, files or []):
            try:
                import_model(file)
            except DistillError as error:
                problems.append(str(error).replace(str(file), file.name))
        if problems:
            gr.Warning(text(" ".join(problems)), duration=12, title="Not imported")
        return None, listing.html(*how)

    dropped.upload(take, [dropped, *listing.how], [dropped, listing.cards], **HIDDEN)


def cards_html(page_state: PageState, wanted: str, sort: str, looked_into: str = "") -> str:
    """The cards of the models that match, in order; `looked_into`: the model that all is shown of."""
    found = entries()
    if not found:
        return empty("The library is empty. Train a model in the Train tab, or drop a .distill file below.")
    words = wanted.lower().split()
    matching = [entry for entry in found if all(word in _described(entry) for word in words)]
    if not matching:
        return empty(f"No model matches {wanted!r}.")
    matching.sort(key=lambda entry: _rank(entry, sort))
    return f'<div class="d-cards">{"".join(_card(page_state, entry, entry.name == looked_into) for entry in matching)}</div>'


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


def _card(page_state: PageState, entry: LibraryEntry, whole: bool) -> str:
    name, card = entry.name, entry.card
    acts = [
        button("Rename", f"Rename {name}", {"act": "rename", "name": name}),
        button("Delete", f"Delete {name}", {"act": "delete", "name": name}),
        link("Download", page_state.offers.download(entry.path), f"Download {name}"),
    ]
    if card is not None:
        acts.insert(0, button("Details", f"Details of {name}", {"act": "details", "name": name}, whole))
    tools = f'<div class="d-acts">{"".join(acts)}</div>'
    if card is None:
        body = f'<p class="d-error">{text(entry.problem)}</p>'
    else:
        body = rows_html(summary(card)) + (details_html(page_state, entry.path, card) if whole else "")
    return f'<article class="d-card{" whole" if whole else ""}"><h3>{text(name)}</h3>{body}{tools}</article>'
